"""The patrol: the leader's round, which brings back every job that would otherwise be lost.

Each second it publishes the jobs that are due, publishes again those whose message was lost, and takes running jobs
from workers that died. Whatever crashed and whenever, this is what goes on from the rows alone. Several patrols at once
would do no harm; one is enough, because a takeover takes less time than a lease of a job.
"""

import logging
from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Now

from jobs import broker, family, statements
from jobs.errors import LeaseLost, WorkerLost
from jobs.models import Job, from_now
from jobs.statements import Update
from jobs.worker import fail

logger = logging.getLogger(__name__)

BATCH = 1000

# A job that waits although its queue is empty has lost its message.
LOST_IN_EMPTY_QUEUE = timedelta(seconds=10)
# Where others wait too, it may just be in line: ask again after it waited as long as the last time, at least this.
LOST_IN_LINE = timedelta(seconds=60)


def patrol() -> bool:
    """One round. Returns whether there is more to do at once: a round is short, so that its leader stays one."""
    rescue()
    family.go_on(Job.objects.all())
    try:
        notice_losses()
        return publish_due() == BATCH
    except broker.BrokerDown as error:
        logger.warning("%s Jobs wait in the database.", error)
        return False


def publish_due() -> int:
    """Publish what waits, is due, and has not been published. Returns how many of a batch there were."""
    jobs = _take(Job.objects.due().filter(published_at=None))
    broker.publish(jobs)
    return len(jobs)


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
