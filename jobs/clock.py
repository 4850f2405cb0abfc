"""The clock: celery beat with this scheduler. Its patrol brings back every job that would otherwise be lost.

Each second it publishes the jobs that are due, publishes again those whose message was lost, and takes running jobs
from workers that died. Whatever crashed and whenever, this is what goes on from the rows alone.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab, schedule
from celery.utils.time import maybe_make_aware
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import F, Q
from django.db.models.functions import Now
from django_celery_beat.schedulers import DatabaseScheduler
from django_celery_beat.tzcrontab import TzAwareCrontab

from jobs import broker, family, statements
from jobs.errors import LeaseLost, WorkerLost
from jobs.models import Job, from_now
from jobs.registry import registry
from jobs.schedule import Scheduled
from jobs.statements import Update
from jobs.worker import fail

logger = logging.getLogger(__name__)

PATROL = 1.0  # seconds between rounds
BATCH = 1000

# A job that waits although its queue is empty has lost its message.
LOST_IN_EMPTY_QUEUE = timedelta(seconds=10)
# Where others wait too, it may just be in line: ask again after it waited as long as the last time, at least this.
LOST_IN_LINE = timedelta(seconds=60)


class Clock(DatabaseScheduler):
    producer = None  # beat would wait here for a broker that is down; but what an entry starts is a job

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round. A database or broker that is down is waited for: the clock itself never stops."""
        close_old_connections()
        try:
            patrol()
            return min(super().tick(*args, **kwargs), PATROL)
        except (DatabaseError, InterfaceError):
            logger.exception("The database does not answer")
            return PATROL

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> None:
        """Fire an entry: enqueue its job, once per slot."""
        due = slot(entry)
        task = registry[entry.task]
        zone = getattr(entry.schedule, "tz", UTC)
        told = {"slot": due.astimezone(zone).isoformat()} if "slot" in task.arguments else {}
        task.enqueue(key=f"{entry.name}@{due.astimezone(UTC).isoformat()}", **entry.kwargs, **told)

    def setup_schedule(self) -> None:
        """Without Celery's own entry, which cleans up a result backend: there is none."""
        declared: dict[str, Scheduled] = self.app.conf.beat_schedule
        self.update_from_dict(
            {
                name: {"task": one.task, "schedule": _celery_schedule(one), "kwargs": dict(one.kwargs)}
                for name, one in declared.items()
            }
        )


def _celery_schedule(one: Scheduled) -> Any:
    when = one.when
    if isinstance(when, timedelta):
        return schedule(when)
    fields = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    return TzAwareCrontab(*(getattr(when, f"_orig_{field}") for field in fields), tz=ZoneInfo(one.timezone))


def slot(entry: Any) -> datetime:
    """The time for which the entry is due, which is not the time at which somebody came to fire it."""
    last = maybe_make_aware(entry.last_run_at)
    if isinstance(entry.schedule, crontab):
        start, delta, _ = entry.schedule.remaining_delta(last)
        return start + delta
    return last + entry.schedule.run_every


def patrol() -> None:
    rescue()
    family.go_on(Job.objects.all())
    try:
        notice_losses()
        publish_due()
    except broker.BrokerDown as error:
        logger.warning("%s Jobs wait in the database.", error)


def publish_due() -> None:
    """Publish what waits, is due, and has not been published."""
    while jobs := _take(Job.objects.due().filter(published_at=None)):
        broker.publish(jobs)
        if len(jobs) < BATCH:
            return


def notice_losses() -> None:
    """Find the jobs whose message is gone, and have them published again. To publish one twice does no harm."""
    if broker.has_forgotten():
        Job.objects.waiting().update(published_at=None)
        return
    overdue = Job.objects.waiting().filter(published_at__lt=from_now(-LOST_IN_EMPTY_QUEUE))
    for queue in overdue.order_by().values_list("queue", flat=True).distinct():
        lost = overdue.filter(queue=queue)
        if broker.waiting_messages(queue):
            lost = lost.filter(
                Q(published_at__lt=from_now(-LOST_IN_LINE)),
                Q(published_at__lt=Now() - (F("published_at") - F("run_at"))),
            )
        lost.update(published_at=None)


def rescue() -> None:
    """Take running jobs from workers that let the lease run out. The attempt counts, so a killer ends up dead."""
    for job in Job.objects.lease_ran_out()[:BATCH]:
        try:
            fail(job, WorkerLost(f"The worker {job.worker} was lost."))
            logger.warning("Rescued %s from %s", job, job.worker)
        except LeaseLost:
            pass  # it ended after all


def _take(jobs: Any) -> list[Job]:
    """Mark a batch of these as published and return it. Of several clocks each takes other jobs."""
    batch = jobs.order_by("run_at").values("pk")[:BATCH]
    return statements.run(Update(jobs.filter(pk__in=batch), {"published_at": Now()}))
