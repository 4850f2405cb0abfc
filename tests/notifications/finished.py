"""Jobs that concern their owner, run in this process one attempt at a time."""

from typing import Any

from django.db.models import F

from jobs.models import Job
from jobs.worker import work
from tests.trial.tasks import make_thing


def run(job: Job) -> Job:
    """One attempt, now."""
    Job.objects.filter(pk=job.pk).update(run_at=F("created_at"))
    work([str(job.pk)], job.queue)
    return Job.objects.get(pk=job.pk)


def finished(owner: Any, good: bool = True) -> Job:
    """A job of this owner that has just ended. What hears of it does so when the test lets its callbacks run."""
    return run(make_thing.enqueue(owner=owner, good=good))
