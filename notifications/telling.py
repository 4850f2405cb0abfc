"""Telling the owner of a job that it has finished, once, by each way they want.

Who hears of the end of a job in the same process tells of it at once, in milliseconds. But the process may die between
the commit of the end and that moment. So every minute the clock looks for ends of which nobody was told, and tells
them. Both write a row `Told` in the same transaction as what tells, so it does not matter who comes first.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from jobs.models import Job, State
from jobs.registry import registry
from notifications import choices, webhooks
from notifications.models import Channel, Event, Told
from notifications.tasks import mail_about_job

EVENTS = {State.SUCCEEDED: Event.JOB_SUCCEEDED, State.DEAD: Event.JOB_DEAD}
BATCH = 500


def hear(job: Job, **_: Any) -> None:
    """For `job_changed`."""
    if job.state in EVENTS and concerns_owner(job):
        tell(job)


def concerns_owner(job: Job) -> bool:
    """Whether the owner asked for this: it is about something that they have, for its task knows links to that.

    A mail or a delivery has none, so nobody is told that they were told. Nor is anybody told of the parts of a job.
    """
    task = registry.get(job.task)
    return job.owner_id is not None and job.parent_id is None and task is not None and task.links is not None


def tasks() -> list[str]:
    return [name for name, task in registry.items() if task.links]


def tell(job: Job) -> bool:
    """Enqueue all that tells of this end of the job, unless that was done. Returns whether it was not."""
    event = EVENTS[State(job.state)]
    with transaction.atomic():
        _, news = Told.objects.get_or_create(job_id=job.pk, version=job.version)
        chosen = choices.of(job.owner_id) if news else {}
        if chosen.get((event, Channel.MAIL)):
            mail_about_job.enqueue(about=str(job.pk), version=job.version, key=f"{job.pk}@{job.version}")
        if chosen.get((event, Channel.WEBHOOK)):
            webhooks.announce(job, event)
    return news


def tell_missed(since: datetime) -> int:
    """Tell of all that finished since then and was not told. Returns how many those were."""
    missed = 0
    while batch := list(untold(since)[:BATCH]):
        missed += sum(map(tell, batch))
    return missed


def untold(since: datetime) -> QuerySet[Job]:
    told = Told.objects.filter(job=OuterRef("pk"), version=OuterRef("version"))
    ended = Job.objects.ended().filter(finished_at__gte=since, parent=None, task__in=tasks())
    return ended.exclude(Exists(told)).order_by("finished_at")
