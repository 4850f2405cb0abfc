"""What people want to hear of."""

from django.conf import settings
from django.db import models

from jobs.models import Job


class Event(models.TextChoices):
    """What may happen. The words complete the sentence “Tell me when …”."""

    JOB_SUCCEEDED = "job.succeeded", "Something is ready"
    JOB_DEAD = "job.dead", "Something went wrong, and nothing will mend it by itself"
    DAILY_SUMMARY = "summary.daily", "A day is over: what became of my work, in one mail"
    NEWS = "news", "There is news about Nightshift"


class Channel(models.TextChoices):
    """The ways in which somebody is told."""

    MAIL = "mail", "Mail"
    BROWSER = "browser", "Browser"
    WEBHOOK = "webhook", "Webhook"


class Choice(models.Model):
    """Where somebody wants it otherwise than `notifications.choices.DEFAULTS` says. No row: as it says there."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    event = models.CharField(max_length=30, choices=Event)
    channel = models.CharField(max_length=10, choices=Channel)
    wanted = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "event", "channel"], name="choice_once")]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}: {self.wanted}"


class Told(models.Model):
    """What is to be said of this end of this job has been said: the jobs and deliveries that say it exist.

    Without this row the clock says it again: see `notifications.telling`. Kept for as long as its job.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField(help_text="Of the job. A requeued job may end again, and has another then.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "version"], name="told_once")]

    def __str__(self) -> str:
        return f"{self.job_id}@{self.version}"
