from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        from jobs.signals import job_changed
        from notifications import browser

        job_changed.connect(browser.push, dispatch_uid="browser")
