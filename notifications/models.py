"""What people want to hear of, where their programs hear of it, and what was said."""

import uuid
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job, State
from notifications.signing import new_seed, secret_of


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


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def enabled(self) -> Self:
        return self.filter(disabled_at=None)


class Endpoint(models.Model):
    """Where a program of its owner hears of events."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="endpoints")
    url = models.CharField(max_length=2000)
    events = models.JSONField(default=list, help_text="Those that it hears of.")
    created_at = models.DateTimeField(auto_now_add=True)

    seed = models.CharField(max_length=64, default=new_seed, help_text="Of its secret: see `notifications.signing`.")
    previous_seed = models.CharField(max_length=64, blank=True)
    previous_until = models.DateTimeField(null=True, help_text="How long is signed with the secret before, too.")

    disabled_at = models.DateTimeField(null=True)
    disabled_because = models.CharField(max_length=200, blank=True, help_text="In words for its owner.")

    # How it behaves
    failing_since = models.DateTimeField(null=True, help_text="Since when nothing has been delivered but tried.")
    not_before = models.DateTimeField(null=True, help_text="It asked for a pause, or seems to need one.")
    took = models.FloatField(default=0.5, help_text="Seconds until its answer, of late.")

    objects = EndpointQuerySet.as_manager()

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("notifications:endpoint", args=[self.pk])

    @property
    def secret(self) -> str:
        return secret_of(self.seed)

    @property
    def seeds(self) -> list[str]:
        """Those that sign at the moment."""
        overlapping = self.previous_until and timezone.now() < self.previous_until
        return [self.seed, self.previous_seed] if overlapping else [self.seed]


class Delivery(models.Model):
    """One event on its way to one endpoint. Whether it is still on its way says its job."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    webhook_id = models.CharField(max_length=80, help_text="Names the event to the receiver, however often it is sent.")
    event = models.CharField(max_length=30)
    body = models.TextField(help_text="As it is sent, always the same.")
    created_at = models.DateTimeField(auto_now_add=True)

    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, help_text="The job that sends it.")
    replays = models.PositiveIntegerField(default=0, help_text="How often it was sent anew.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="Since then.")
    log = models.JSONField(default=list, help_text="The latest tries: at, seconds, status, answer, problem.")
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "webhook_id"], name="delivery_once")]
        indexes = [
            models.Index(fields=["endpoint", "-created_at"], name="delivery_newest"),
            models.Index(fields=["created_at"], name="delivery_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint}"

    def get_absolute_url(self) -> str:
        return reverse("notifications:delivery", args=[self.endpoint_id, self.pk])

    @property
    def state(self) -> str:
        """delivered, given up, or on its way: waiting, or sending."""
        if self.delivered_at:
            return "delivered"
        if self.job is None or self.job.finished:
            return "given up"
        return "sending" if self.job.state == State.RUNNING else "waiting"

    @property
    def next_try(self) -> datetime | None:
        return self.job.run_at if self.job and self.state == "waiting" else None

    @property
    def tries_newest_first(self) -> list[dict[str, Any]]:
        return self.log[::-1]


class Seen(models.Model):
    """Up to when somebody has seen what has finished."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="seen"
    )
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id}: {self.until}"
