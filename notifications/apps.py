from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        from django.utils.module_loading import autodiscover_modules

        from jobs.signals import job_changed
        from notifications import browser, telling

        autodiscover_modules("tasks")  # what concerns its owner is known of every task, in web servers too
        job_changed.connect(browser.push, dispatch_uid="browser")
        job_changed.connect(telling.hear, dispatch_uid="telling")
