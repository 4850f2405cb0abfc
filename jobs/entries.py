"""The entries of the schedule: what code declares brought into the database, and what is due turned into jobs.

The caller of `sync()` and `settle()` leads, and is in a transaction that proves it: see `jobs.leader`.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django_celery_beat.models import CrontabSchedule, IntervalSchedule

from jobs import slots
from jobs.models import UNFINISHED, Declaration, Entry, Job, Slot
from jobs.registry import registry
from jobs.schedule import Scheduled
from jobs.slots import Due, Times

logger = logging.getLogger(__name__)

DROPPED = "Not in the schedule of the code any more."


# --- what code declares ---


def sync(declared: Mapping[str, Scheduled]) -> None:
    """Bring what code declares into the database, and leave alone what operators have changed there.

    Code that changes reaches an entry as long as it has the time that code gave it last. What code has dropped is
    disabled with a note, and comes back as it was if code declares it again.
    """
    entries = {entry.name: entry for entry in Entry.objects.select_related("crontab", "interval", "declaration")}
    for name, one in declared.items():
        times = slots.of(one.when, one.timezone)
        if name in entries:
            _update(entries[name], one, times)
        else:
            _create(name, one, times)
    for name in entries.keys() - declared.keys():
        _drop(entries[name])
    Entry.objects.filter(enabled=True, last_run_at=None).update(last_run_at=Now())


def _create(name: str, one: Scheduled, times: Times) -> None:
    entry = Entry(name=name, task=one.task, kwargs=json.dumps(dict(one.kwargs)), **rows_of(times))
    entry.save()
    Declaration.objects.create(entry=entry, times=written(times))


def _update(entry: Entry, one: Scheduled, times: Times) -> None:
    changes: dict[str, Any] = {"task": one.task, "kwargs": json.dumps(dict(one.kwargs))}
    last = getattr(entry, "declaration", None) or Declaration(entry=entry, times=written(entry.times))
    if entry.times != times and written(entry.times) == last.times:
        changes |= {**rows_of(times), "last_run_at": Now()}
    if last.dropped_at:
        changes |= {"enabled": True, "description": ""}
    Entry.objects.filter(pk=entry.pk).update(**changes)
    Declaration.objects.update_or_create(entry=entry, defaults={"times": written(times), "dropped_at": None})


def _drop(entry: Entry) -> None:
    if not entry.enabled:
        return
    Entry.objects.filter(pk=entry.pk).update(enabled=False, last_run_at=None, description=DROPPED)
    Declaration.objects.update_or_create(
        entry=entry, defaults={"dropped_at": Now()}, create_defaults={"times": "", "dropped_at": Now()}
    )
    logger.warning("%s is not declared any more: disabled", entry)


def rows_of(times: Times) -> dict[str, Any]:
    """The rows of django-celery-beat that say this."""
    if isinstance(times, slots.Every):
        interval = {"every": int(times.period.total_seconds()), "period": IntervalSchedule.SECONDS}
        return {"interval": _row(IntervalSchedule, **interval), "crontab": None}
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    fields = dict(zip(names, times.expression.split(), strict=True))
    return {"crontab": _row(CrontabSchedule, **fields, timezone=times.zone), "interval": None}


def _row(model: Any, **fields: Any) -> Any:
    """They may be there several times: nothing in the database forbids it."""
    return model.objects.filter(**fields).first() or model.objects.create(**fields)


def written(times: Times) -> str:
    return f"{times} {times.timezone}"


# --- what operators change ---


def pause(entry: Entry) -> bool:
    """Fire no more slots. False: it was paused already."""
    return bool(Entry.objects.filter(pk=entry.pk, enabled=True).update(enabled=False, last_run_at=None))


def resume(entry: Entry) -> bool:
    """Go on with the next slot: those in between are nobody's loss. False: it was not paused, or code dropped it."""
    paused = Entry.objects.filter(pk=entry.pk, enabled=False, declaration__dropped_at=None)
    return bool(paused.update(enabled=True, last_run_at=Now()))


def change_times(entry: Entry, times: Times) -> None:
    """From now on: what the new times would have meant before does not count."""
    with transaction.atomic():
        Entry.objects.filter(pk=entry.pk).update(**rows_of(times))
        Entry.objects.filter(pk=entry.pk, enabled=True).update(last_run_at=Now())


def run_now(entry: Entry, one: Scheduled, now: datetime) -> Job | None:
    """Make a job of it outside of the schedule. None: the job before is unfinished, and they may not overlap."""
    if not one.overlap and _unfinished(entry):
        return None
    job = _enqueue(entry, one, now, key=f"{entry.name}@{now.astimezone(UTC).isoformat()} by hand")
    Slot.objects.create(entry=entry, slot=now, job=job, outcome=Slot.Outcome.BY_HAND)
    return job


# --- what is due ---


def enabled() -> list[Entry]:
    return list(Entry.objects.filter(enabled=True).select_related("crontab", "interval"))


def settle(entry: Entry, one: Scheduled, due: Due, now: datetime) -> None:
    """Deal with the slots that have come: their jobs, their records, and that they are dealt with are one."""
    if not _advance(entry, due.until):
        return
    _record_missed(entry, due)
    for slot in due.fire:
        if not Slot.objects.filter(entry=entry, slot=slot).exists():
            _fire(entry, one, slot, late=slots.is_late(slot, now))


def _advance(entry: Entry, until: datetime) -> bool:
    """False: it was paused, or its time was changed, since it was read."""
    entries = Entry.objects.filter(pk=entry.pk, enabled=True)
    if entries.select_for_update().values_list("last_run_at", flat=True).first() != entry.last_run_at:
        return False
    return bool(entries.update(last_run_at=until))


def _record_missed(entry: Entry, due: Due) -> None:
    rows = [
        Slot(entry=entry, slot=first, last=last if number > 1 else None, number=number, outcome=Slot.Outcome.MISSED)
        for first, last, number in due.missed
    ]
    Slot.objects.bulk_create(rows, ignore_conflicts=True)


def _fire(entry: Entry, one: Scheduled, slot: datetime, *, late: bool) -> None:
    if not one.overlap and _unfinished(entry):
        Slot.objects.create(entry=entry, slot=slot, outcome=Slot.Outcome.SKIPPED)
        return
    outcome = Slot.Outcome.CAUGHT_UP if late else Slot.Outcome.FIRED
    job = _enqueue(entry, one, slot, key=f"{entry.name}@{slot.astimezone(UTC).isoformat()}")
    Slot.objects.create(entry=entry, slot=slot, outcome=outcome, job=job)
    Entry.objects.filter(pk=entry.pk).update(total_run_count=F("total_run_count") + 1)


def _unfinished(entry: Entry) -> bool:
    """Whether the entry's previous job is. Each waits for the one before, so no other can be."""
    previous = Slot.objects.filter(entry=entry, job__isnull=False).select_related("job").first()
    return previous is not None and previous.job is not None and previous.job.state in UNFINISHED


def _enqueue(entry: Entry, one: Scheduled, slot: datetime, key: str) -> Job:
    task = registry[one.task]
    args = dict(one.kwargs)
    if "slot" in task.arguments:
        args["slot"] = slot.astimezone(ZoneInfo(entry.times.timezone)).isoformat()
    return task.enqueue(key=key, **args)
