"""The task: a function declared with `@task`, launched by `enqueue()`, run by a worker from one message."""

import inspect
import json
import logging
import os
import random
import socket
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import shared_task
from django.db import close_old_connections, transaction
from django.utils import timezone

from jobs import broker
from jobs.errors import BadArguments, LeaseLost
from jobs.lease import heart
from jobs.models import Job, announce

logger = logging.getLogger(__name__)

SOMETHING_WENT_WRONG = "Something went wrong on our side. It has been recorded, and we will look into it."

KILLED_AFTER = 30  # seconds beyond the time limit, for a body that does not stop when told

registry: dict[str, "Task"] = {}


def task(
    *,
    queue: str = "quick",
    max_attempts: int = 5,
    time_limit: timedelta = timedelta(minutes=5),
    permanent: type[Exception] | tuple[type[Exception], ...] = (),
    backoff: timedelta = timedelta(seconds=5),
    backoff_cap: timedelta = timedelta(hours=1),
    links: Callable[..., dict[str, str]] | None = None,
) -> Callable[[Callable[..., Any]], "Task"]:
    """Declare a function as a task. Its first parameter is the job, the others are the arguments of `enqueue()`.

    permanent: the errors that no retry can mend. Their message is shown to the owner as it is.
    time_limit: an attempt is stopped after this long, and retried.
    links: given the arguments, the addresses of what the job is about, by name.
    """

    def declare(body: Callable[..., Any]) -> Task:
        return Task(body, queue, max_attempts, time_limit, permanent, backoff, backoff_cap, links)

    return declare


class Task:
    def __init__(
        self,
        body: Callable[..., Any],
        queue: str,
        max_attempts: int,
        time_limit: timedelta,
        permanent: type[Exception] | tuple[type[Exception], ...],
        backoff: timedelta,
        backoff_cap: timedelta,
        links: Callable[..., dict[str, str]] | None,
    ) -> None:
        self.body = body
        self.name = f"{body.__module__.removesuffix('.tasks')}.{body.__name__}"
        self.queue = queue
        self.max_attempts = max_attempts
        self.permanent = permanent
        self.backoff = backoff
        self.backoff_cap = backoff_cap
        self.links = links
        self.signature = inspect.signature(body)
        registry[self.name] = self
        self._receive_messages(time_limit.total_seconds())

    def _receive_messages(self, time_limit: float) -> None:
        @shared_task(name=self.name, soft_time_limit=time_limit, time_limit=time_limit + KILLED_AFTER)
        def message(ids: list[str]) -> None:
            work(self, ids)

    def enqueue(self, **launch: Any) -> Job:
        """Write the job, and publish it once the transaction around this call has committed.

        Takes the task's arguments, and `owner`, `key`, `run_at` as `job()` does. With a `key` that this task has seen
        before, returns the job that has it. Raises BadArguments.
        """
        job = self.job(**launch)
        if job.key is None:
            job.save(force_insert=True)
        else:
            Job.objects.bulk_create([job], ignore_conflicts=True)
            kept = Job.objects.get(task=self.name, key=job.key)
            if kept.pk != job.pk:
                return kept
        self._publish_after_commit([job])
        return job

    def enqueue_many(self, jobs: Iterable[Job]) -> None:
        """Write many jobs made by `job()` in one go. Those whose key this task has seen before are left out."""
        jobs = list(jobs)
        with transaction.atomic():
            keyed = any(job.key for job in jobs)
            Job.objects.bulk_create(jobs, ignore_conflicts=keyed, batch_size=1000)
            if keyed:
                jobs = list(Job.objects.filter(pk__in=[job.pk for job in jobs]))
            self._publish_after_commit(jobs)

    def job(self, *, owner: Any = None, key: str | None = None, run_at: datetime | None = None, **args: Any) -> Job:
        """A job of this task, not yet written. Raises BadArguments."""
        self._check(args)
        now = timezone.now()
        return Job(
            task=self.name,
            args=args,
            queue=self.queue,
            key=key,
            owner=owner,
            max_attempts=self.max_attempts,
            run_at=run_at or now,
            published_at=None if run_at and run_at > now else now,
            created_at=now,
        )

    def _check(self, args: dict[str, Any]) -> None:
        try:
            self.signature.bind(None, **args)
            json.dumps(args, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadArguments(f"{self.name}: {error}") from error

    def _publish_after_commit(self, jobs: list[Job]) -> None:
        announce(jobs)
        due = [job for job in jobs if job.published_at]
        transaction.on_commit(partial(broker.publish, due), robust=True)

    def delay_after(self, attempt: int) -> timedelta:
        """How long to wait after that many attempts: exponential back-off with full jitter, and a cap."""
        ceiling = min(self.backoff_cap, self.backoff * 2 ** min(attempt - 1, 30))
        return ceiling * random.random()


def work(task: Task, ids: list[str]) -> None:
    """What a worker does with one message."""
    close_old_connections()
    for job in Job.objects.filter(pk__in=ids).start(worker=worker_name()):
        run(task, job)


def run(task: Task, job: Job) -> None:
    """Run one attempt to one of its ends."""
    logger.info("Attempt %d of %s", job.attempt, job)
    try:
        with heart.beating_for(job):
            attempt(task, job)
    except LeaseLost:
        logger.warning("Lost the lease of %s; whoever holds it now decides", job)


def attempt(task: Task, job: Job) -> None:
    try:
        result = task.body(job, **job.args)
        if not job.finished:
            job.succeed(result)
    except LeaseLost:
        raise
    except task.permanent as error:
        job.bury(error, message=str(error))
    except Exception as error:
        logger.exception("Attempt %d of %s failed", job.attempt, job)
        fail(task, job, error)


def fail(task: Task, job: Job, error: Exception) -> None:
    """Retry the job, or bury it when its attempts are used up. Raises LeaseLost."""
    if job.attempt < job.max_attempts:
        job.retry(error, message=SOMETHING_WENT_WRONG, delay=task.delay_after(job.attempt))
    else:
        job.bury(error, message=SOMETHING_WENT_WRONG)


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
