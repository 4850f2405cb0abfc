from django.apps import AppConfig


class TrialConfig(AppConfig):
    """Not a part of the site: EXTRA_APPS=tests.trial brings it in where the engine itself is tried."""

    name = "tests.trial"
    label = "trial"
