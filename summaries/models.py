"""The ledger of the daily summaries: who gets one. What became of each mail is the state of its job, and only there."""

from collections.abc import Mapping
from functools import cached_property

from django.conf import settings
from django.db import models
from django.db.models import Count, Exists, OuterRef

from jobs.models import UNFINISHED, Job, State
from mail.models import Sent


class Mailing(models.Model):
    """All summaries of one day."""

    day = models.DateField(primary_key=True, help_text="The day that they tell of, in UTC.")
    began_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True, help_text="When all recipients were written down. There are no others.")
    frozen_up_to = models.BigIntegerField(default=0, help_text="The key of the last user who was looked at.")
    recipients = models.PositiveIntegerField(default=0, help_text="How many were written down.")

    def __str__(self) -> str:
        return f"{self.day:%-d %B %Y}"

    @cached_property
    def tally(self) -> Mapping[str, int]:
        """How many of its mails stand where. What became of those whose job was pruned nobody knows any more."""
        sent = Exists(Sent.objects.filter(job=OuterRef("job")))
        counted = Recipient.objects.filter(mailing=self).annotate(sent=sent).values_list("job__state", "sent")
        tally = {"sent": 0, "waiting": 0, "failed": 0, "left_out": 0}
        for state, was_sent, number in counted.annotate(Count("pk")):
            tally[_standing(state, was_sent)] += number
        return {**tally, "pruned": max(0, self.recipients - sum(tally.values()))}  # more are frozen meanwhile


class Recipient(models.Model):
    """Somebody who gets a mailing, once. Kept for as long as its job."""

    mailing = models.ForeignKey(Mailing, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailing", "user"], name="recipient_once")]

    def __str__(self) -> str:
        return f"{self.user} on {self.mailing_id}"


def _standing(state: str, was_sent: bool) -> str:
    if was_sent:
        return "sent"
    if state in UNFINISHED:
        return "waiting"
    return "failed" if state == State.DEAD else "left_out"  # unsubscribed meanwhile, or cancelled
