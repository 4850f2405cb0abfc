"""What operators may do. Each act and its entry in the audit log are one transaction: neither exists alone.

The audit log is the admin's own table, LogEntry. Its message is JSON: the verb, and what belongs to it.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Count, Model
from django.utils import timezone

from jobs import entries, queues
from jobs.models import TRANSITIONS, Entry, Job, JobQuerySet, PausedQueue, State
from jobs.operating.filters import Filters
from jobs.schedule import Scheduled
from jobs.slots import Times

VERBS = ("requeue", "cancel", "bury")
BATCH = 1000  # jobs moved in one transaction, so that none of them is locked for long


def possible(*states: str) -> list[str]:
    """The verbs that at least one of these states allows."""
    return [verb for verb in VERBS if set(states) & set(TRANSITIONS[verb][0])]


@transaction.atomic
def move(jobs: JobQuerySet, verb: str, by: Any, **details: Any) -> list[Job]:
    """Move those of these jobs that may make this move, and return them. `details` go into the audit log."""
    moved = getattr(jobs, verb)()
    record(by, moved, verb, **details)
    return moved


@transaction.atomic
def requeue_with(job: Job, args: dict[str, Any], by: Any) -> list[Job]:
    """Requeue the job with other arguments. Raises nothing about them: check them first."""
    moved = Job.objects.filter(pk=job.pk).requeue(args=args)
    record(by, moved, "requeue", args=args, args_before=job.args)
    return moved


@transaction.atomic
def pause(queue: str, by: Any) -> None:
    if queues.pause(queue):
        record(by, [PausedQueue(name=queue)], "pause")


@transaction.atomic
def resume(queue: str, by: Any) -> None:
    if queues.resume(queue):
        record(by, [PausedQueue(name=queue)], "resume")


# --- the schedule ---


@transaction.atomic
def pause_entry(entry: Entry, by: Any) -> bool:
    paused = entries.pause(entry)
    if paused:
        record(by, [entry], "pause")
    return paused


@transaction.atomic
def resume_entry(entry: Entry, by: Any) -> bool:
    resumed = entries.resume(entry)
    if resumed:
        record(by, [entry], "resume")
    return resumed


@transaction.atomic
def change_times(entry: Entry, times: Times, by: Any) -> None:
    before = entries.written(entry.times)
    entries.change_times(entry, times)
    record(by, [entry], "change time", time=entries.written(times), time_before=before)


@transaction.atomic
def run_now(entry: Entry, one: Scheduled, by: Any) -> Job | None:
    """None: the entry's job before is unfinished, and they may not overlap."""
    job = entries.run_now(entry, one, timezone.now())
    if job:
        record(by, [entry], "run now", job=str(job.pk))
    return job


# --- many at once ---


class Forecast(NamedTuple):
    """What a move would do, had it happened now."""

    moving: dict[State, int]
    staying: dict[State, int]  # their state does not allow the move

    @property
    def number(self) -> int:
        return sum(self.moving.values())


def forecast(filters: Filters, verb: str) -> Forecast:
    numbers = filters.jobs().order_by().values_list("state").annotate(Count("pk"))
    counts = {State(state): number for state, number in numbers}
    allowed, _ = TRANSITIONS[verb]
    moving = {state: counts[state] for state in counts if state in allowed}
    return Forecast(moving, {state: counts[state] for state in counts if state not in allowed})


def move_all(
    filters: Filters,
    verb: str,
    by: Any,
    *,
    asked_at: datetime,
    on_progress: Callable[[float, str], None] = lambda fraction, note: None,
    **details: Any,
) -> int:
    """Move all that matched when it was asked for, and return how many this call has moved.

    May be called again after it was torn off: what it had moved stays moved. What was enqueued or has finished since
    it was asked is left alone, so a job that is requeued and dies again is not requeued for ever.
    """
    allowed, _ = TRANSITIONS[verb]
    jobs = filters.jobs().filter(state__in=allowed, created_at__lt=asked_at).exclude(finished_at__gte=asked_at)
    keys = list(jobs.order_by().values_list("pk", flat=True))
    moved = 0
    for start in range(0, len(keys), BATCH):
        batch = Job.objects.filter(pk__in=keys[start : start + BATCH])
        moved += len(move(batch, verb, by, **details))
        on_progress(min(1.0, (start + BATCH) / len(keys)), f"{moved:,} moved")
    return moved


# --- the audit log ---


class Act(NamedTuple):
    """An entry of the audit log, as it is read."""

    at: datetime
    by: str
    verb: str
    details: dict[str, Any]


def record(by: Any, objects: Iterable[Model], verb: str, **details: Any) -> None:
    message = json.dumps({"verb": verb, **details}, ensure_ascii=False)
    LogEntry.objects.log_actions(by.pk, list(objects), CHANGE, message)


def acts_on(job: Job) -> list[Act]:
    """What operators have done to this job, the oldest first."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Job), object_id=str(job.pk))
    return [act(entry) for entry in entries.select_related("user").order_by("pk")]


def act(entry: LogEntry) -> Act:
    """Entries that the rest of the admin wrote have a message of Django's own kind."""
    try:
        message = json.loads(entry.change_message)
    except ValueError:
        message = None
    details = message if isinstance(message, dict) else {"verb": entry.get_action_flag_display().lower()}
    return Act(entry.action_time, entry.user.get_username(), details.pop("verb"), details)


def moved_by(bulk: Job) -> int:
    """How many jobs a bulk move has moved, in all of its attempts together."""
    entries = LogEntry.objects.filter(user=bulk.owner_id, action_time__gte=bulk.created_at)
    return entries.filter(change_message__contains=f'"bulk": "{bulk.pk}"').count()
