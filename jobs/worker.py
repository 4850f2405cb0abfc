"""What a worker does with one message: start its jobs, run each, bring each to one of its ends."""

import logging
import os
import socket
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from jobs import broker, family, models
from jobs.errors import LeaseLost, NotNow, ShuttingDown, Suspended
from jobs.interrupt import interruptible
from jobs.lease import heart
from jobs.models import Job, State
from jobs.registry import registry

if TYPE_CHECKING:
    from jobs.task import Task

logger = logging.getLogger(__name__)

SOMETHING_WENT_WRONG = "Something went wrong on our side. It has been recorded, and we will look into it."


def work(ids: list[str], queue: str) -> None:
    """Start the jobs that a message names and run them one after the other. Delivered twice, it finds nothing left."""
    jobs = start(ids, queue)
    endings = Endings()
    with heart.holding(jobs):
        try:
            for job in jobs:
                run(registry[job.task], job, endings)
        except ShuttingDown:
            hand_back([job for job in jobs if job.state == State.RUNNING and job not in endings])
        endings.write()


def start(ids: list[str], queue: str) -> list[Job]:
    """Begin an attempt at each of these jobs, or in a fair queue at whichever job is next.

    There are as many messages in a queue as jobs, so in a fair one a message is no more than a ticket for a job.
    """
    if queue not in settings.JOB_FAIR_QUEUES:
        if len(ids) == 1:
            return models.start(ids[0], worker_name())
        return Job.objects.filter(pk__in=ids).start(worker_name())
    while candidate := Job.objects.fairest(queue):
        if started := models.start(candidate.pk, worker_name()):
            return started
    return []


class Endings:
    """Successes of one message that carry no data, written together instead of one by one."""

    LONGEST_WAIT = 0.5  # seconds; what a killed worker has not written is run again

    def __init__(self) -> None:
        self._jobs: dict[Job, None] = {}
        self._written = time.monotonic()

    def __contains__(self, job: Job) -> bool:
        return job in self._jobs

    def add(self, job: Job, result: Any) -> None:
        if result is not None or job.parent_id:
            job.succeed(result)
            return
        self._jobs[job] = None
        if time.monotonic() - self._written > self.LONGEST_WAIT:
            self.write()

    def write(self) -> None:
        jobs, self._jobs = list(self._jobs), {}
        if len(jobs) == 1:
            with suppress(LeaseLost):
                jobs[0].succeed()
        elif jobs:
            Job.objects.filter(pk__in=[job.pk for job in jobs], lease_token=jobs[0].lease_token).succeed()
            for job in jobs:
                job.state = State.SUCCEEDED
        self._written = time.monotonic()


def run(task: "Task", job: Job, endings: Endings) -> None:
    """Run one attempt to one of its ends."""
    logger.debug("Attempt %d of %s", job.attempt, job)
    try:
        result = call(task, job)
        if job.state == State.RUNNING:  # the body did not finish it itself
            endings.add(job, result)
    except Suspended:
        logger.debug("%s waits for its children", job)
    except LeaseLost:
        logger.warning("Lost the lease of %s; whoever holds it now decides", job)
    except Exception as error:
        end_badly(task, job, error)
    if job.parent_id and job.finished:
        family.look_after(job.parent_id)


def call(task: "Task", job: Job) -> Any:
    with heart.running(job, task.time_limit), interruptible():
        return task.body(job, **job.args)


def end_badly(task: "Task", job: Job, error: Exception) -> None:
    try:
        if isinstance(error, task.permanent):
            job.bury(error, message=str(error))
        elif isinstance(error, NotNow):
            logger.warning("%s has to wait", job, exc_info=error)
            job.retry(error, message=str(error), delay=task.delay_after(job.attempt, error), spent=False)
        else:
            logger.warning("Attempt %d of %s failed", job.attempt, job, exc_info=error)
            fail(job, error)
    except LeaseLost:
        logger.warning("%s had ended before this error", job, exc_info=error)


def fail(job: Job, error: Exception) -> None:
    """Retry the job, or bury it when its attempts are used up. Raises LeaseLost."""
    task = registry.get(job.task)
    if task and job.attempt < job.max_attempts:
        job.retry(error, message=SOMETHING_WENT_WRONG, delay=task.delay_after(job.attempt, error))
    else:
        job.bury(error, message=SOMETHING_WENT_WRONG)


def hand_back(jobs: list[Job]) -> None:
    """Give jobs to other workers at once, because this one was told to stop."""
    if jobs:
        released = Job.objects.filter(pk__in=[job.pk for job in jobs], lease_token=jobs[0].lease_token).release()
        broker.publish(released)
        logger.info("Handed back %d jobs", len(released))


@cache
def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
