from django.apps import AppConfig

from config import celery  # noqa: F401 - whoever loads Django has the application to which tasks belong


class ConfigConfig(AppConfig):
    """Makes `config` an app, for the management commands that concern the whole site.

    Connects what does not know of each other.
    """

    name = "config"

    def ready(self) -> None:
        from accounts.signals import access_withdrawn
        from notifications import browser

        access_withdrawn.connect(browser.close, dispatch_uid="browser")
