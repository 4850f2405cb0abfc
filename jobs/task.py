"""The task: a function declared with `@task` and launched by `enqueue()`."""

import inspect
import json
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from django.db import connection, transaction
from django.utils import timezone

from jobs import broker, statements
from jobs.errors import BadArguments
from jobs.models import Job, Priority, announced
from jobs.registry import registry
from jobs.worker import work

# What `Task.job()` sets. Everything else of a new job is as the model has it by default.
LAUNCH = [
    "id",
    "task",
    "args",
    "queue",
    "priority",
    "size",
    "owner",
    "max_attempts",
    "run_at",
    "published_at",
    "created_at",
]

Body = Callable[..., Any]
Links = Callable[..., dict[str, str]]


def task(**policy: Any) -> Callable[[Body], "Task"]:
    """Declare a function as a task. Takes the policy that `Task` describes."""
    return lambda body: Task(body, **policy)


class Task:
    """A function, and how its jobs are to be run.

    body: its first parameter is the job, the others are the arguments of `enqueue()`.
    queue: which workers run it.
    permanent: the errors that no retry can mend. Their message is shown to the owner as it is.
    time_limit: an attempt is stopped after this long, and counts as failed.
    backoff, backoff_cap: see `delay_after()`.
    bundle: how many jobs of `enqueue_many()` one message may carry. For tasks of milliseconds: the worker that gets
        the message runs them one after the other.
    links: given the arguments, the addresses of what a job is about, by name.
    """

    def __init__(
        self,
        body: Body,
        *,
        queue: str = "quick",
        priority: Priority = Priority.NORMAL,
        max_attempts: int = 5,
        time_limit: timedelta = timedelta(minutes=5),
        permanent: type[Exception] | tuple[type[Exception], ...] = (),
        backoff: timedelta = timedelta(seconds=5),
        backoff_cap: timedelta = timedelta(hours=1),
        bundle: int = 1,
        links: Links | None = None,
    ) -> None:
        self.body = body
        self.name = f"{body.__module__.removesuffix('.tasks')}.{body.__name__}"
        self.queue = queue
        self.priority = priority
        self.max_attempts = max_attempts
        self.time_limit = time_limit
        self.permanent = permanent
        self.backoff = backoff
        self.backoff_cap = backoff_cap
        self.bundle = bundle
        self.links = links
        self.signature = inspect.signature(body)
        self.arguments = set(list(self.signature.parameters)[1:])
        registry[self.name] = self
        self._receive_messages()

    def _receive_messages(self) -> None:
        @shared_task(name=self.name)
        def message(ids: list[str]) -> None:
            if connection.errors_occurred:  # it may have broken; the next use connects anew
                connection.close()
            work(ids, self.queue)

    def enqueue(self, **launch: Any) -> Job:
        """Write the job, and publish it once the transaction around this call has committed.

        Takes the task's arguments, and what `job()` takes. With a `key` that this task has seen
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
            if any(job.key for job in jobs):
                Job.objects.bulk_create(jobs, ignore_conflicts=True, batch_size=1000)
                jobs = list(Job.objects.filter(pk__in=[job.pk for job in jobs]))
            elif jobs:
                statements.insert(jobs, LAUNCH)
            self._publish_after_commit(jobs)

    def job(
        self,
        *,
        owner: Any = None,
        key: str | None = None,
        run_at: datetime | None = None,
        priority: Priority | None = None,
        size: int | None = None,
        **args: Any,
    ) -> Job:
        """A job of this task, not yet written. Raises BadArguments.

        owner: the user who is told what becomes of it. key: idempotency key. run_at: not before then.
        size: how much there is to do, if it tells how long that will take.
        """
        self.check(args)
        now = timezone.now()
        return Job(
            task=self.name,
            args=args,
            queue=self.queue,
            priority=self.priority if priority is None else priority,
            size=size,
            key=key,
            owner=owner,
            max_attempts=self.max_attempts,
            run_at=run_at or now,
            published_at=None if run_at and run_at > now else now,
            created_at=now,
        )

    def check(self, args: dict[str, Any]) -> None:
        """Raises BadArguments if these arguments do not fit the signature, or are not JSON."""
        try:
            if args.keys() != self.arguments:  # some may have defaults
                self.signature.bind(None, **args)
            json.dumps(args, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadArguments(f"{self.name}: {error}") from error

    def _publish_after_commit(self, jobs: list[Job]) -> None:
        announced(jobs)
        due = [job for job in jobs if job.published_at]
        transaction.on_commit(lambda: broker.publish(due), robust=True)

    def delay_after(self, attempt: int, error: BaseException) -> timedelta:
        """How long to wait after the attempt failed: exponential back-off with full jitter and a cap.

        An error with a `retry_after` (a timedelta, as a remote server asked for) is not retried before that.
        """
        ceiling = min(self.backoff_cap, self.backoff * 2 ** min(attempt - 1, 30))
        return max(ceiling * random.random(), getattr(error, "retry_after", timedelta(0)))
