"""A task whose jobs concern their owner, one attempt at a time in this process."""

from typing import Any

from jobs.models import Job
from jobs.task import task
from jobs.worker import work


class No(Exception):
    """A permanent error."""


def about(good: bool = True) -> dict[str, str]:
    return {"page": "/videos/"}


@task(permanent=No, links=about)
def make_thing(job: Job, good: bool = True) -> None:
    if not good:
        raise No("The thing <b>broke</b>.")


@task()
def tidy_up(job: Job) -> None:
    """Nobody asked for it."""


def run(job: Job) -> Job:
    work([str(job.pk)], job.queue)
    return Job.objects.get(pk=job.pk)


def finished(owner: Any, good: bool = True) -> Job:
    """A job of this owner that has just ended. What hears of it does so when the test lets its callbacks run."""
    return run(make_thing.enqueue(owner=owner, good=good))
