"""Declaring a task, and enqueueing jobs of it."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs.errors import BadArguments
from jobs.models import Job, State
from tests.trial.tasks import nothing, record


@pytest.mark.django_db
@pytest.mark.parametrize(
    "args", [{}, {"numbre": 1}, {"number": 1, "more": 2}, {"number": uuid.uuid4()}, {"number": float("nan")}]
)
def test_arguments_that_do_not_fit_are_refused_at_once(args):
    with pytest.raises(BadArguments, match="tests.trial.record"):
        record.enqueue(**args)
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_a_key_makes_one_job_ever():
    first = record.enqueue(number=1, key="once")
    assert record.enqueue(number=1, key="once").pk == first.pk
    assert nothing.enqueue(number=1, key="once").pk != first.pk, "keys belong to a task"
    Job.objects.filter(pk=first.pk).cancel()
    assert record.enqueue(number=1, key="once").state == State.CANCELLED
    record.enqueue_many([record.job(number=1, key="once"), record.job(number=2, key="twice")])
    assert Job.objects.count() == 3


@pytest.mark.django_db
def test_many_jobs_may_be_none():
    record.enqueue_many([])
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_key_makes_one_job_under_concurrency():
    def enqueue(_: int) -> uuid.UUID:
        try:
            return record.enqueue(number=1, key="once").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(enqueue, range(40)))) == 1
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_job_exists_exactly_when_its_cause_does():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record.enqueue(number=1)
        raise ZeroDivisionError
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_a_job_for_later_is_left_to_the_clock():
    job = record.enqueue(number=1, run_at=timezone.now() + timedelta(hours=1))
    assert job.published_at is None


def test_the_wait_before_a_retry_grows_up_to_the_cap_and_is_spread():
    waits = [[record.delay_after(attempt, ValueError()).total_seconds() for _ in range(200)] for attempt in (1, 2, 9)]
    assert max(waits[0]) <= 0.5 < max(waits[1]) <= 1
    assert 1.5 < max(waits[2]) <= 2
    assert min(waits[2]) < 0.5, "full jitter: from nothing to the ceiling"


def test_what_a_remote_asked_for_is_respected():
    class Busy(Exception):
        retry_after = timedelta(minutes=5)

    assert record.delay_after(1, Busy()) == timedelta(minutes=5)
