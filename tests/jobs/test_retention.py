"""What has finished is kept for a while."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Job, State
from jobs.retention import prune
from tests.trial.tasks import record

pytestmark = pytest.mark.django_db


def make(state: State, days: int) -> Job:
    """A job that was enqueued that long ago, and has finished then if it has."""
    then = timezone.now() - timedelta(days=days)
    job = record.enqueue(number=1)
    finished_at = then if state in (State.SUCCEEDED, State.DEAD, State.CANCELLED) else None
    Job.objects.filter(pk=job.pk).update(state=state, created_at=then, finished_at=finished_at)
    return job


def test_finished_jobs_go_after_as_long_as_their_state_is_kept_and_unfinished_ones_stay():
    gone = [make(State.SUCCEEDED, 31), make(State.CANCELLED, 31), make(State.DEAD, 181)]
    kept = [make(State.SUCCEEDED, 29), make(State.DEAD, 179), make(State.QUEUED, 400), make(State.RETRYING, 400)]
    assert sum(prune()) == len(gone)
    assert set(Job.objects.all()) == set(kept)


def test_a_job_that_waited_long_is_kept_from_its_end_on():
    late = make(State.SUCCEEDED, 60)
    Job.objects.filter(pk=late.pk).update(finished_at=timezone.now())
    assert not sum(prune())
