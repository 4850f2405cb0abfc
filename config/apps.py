from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Makes `config` an app, for the management commands that concern the whole site."""

    name = "config"
