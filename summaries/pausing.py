"""Pausing and resuming all mailings: their queue, and their pace."""

from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs.models import Job, PausedQueue
from jobs.operating import acts
from summaries.tasks import QUEUE


def paused() -> PausedQueue | None:
    return PausedQueue.objects.filter(name=QUEUE).first()


def pause(by: Any) -> None:
    acts.pause(QUEUE, by)


@transaction.atomic
def resume(by: Any) -> None:
    """What was planned for later is put off by as long as the pause was: else it would all be due at once."""
    if pausing := paused():
        put_off = timezone.now() - pausing.paused_at
        later = Job.objects.waiting().filter(queue=QUEUE, run_at__gte=pausing.paused_at)
        later.update(run_at=F("run_at") + put_off, published_at=None)
        acts.resume(QUEUE, by)
