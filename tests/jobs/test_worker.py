"""What a worker does with a message, in this process; with real workers see tests/guarantees."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import patrol
from jobs.errors import NotNow
from jobs.models import Job, State
from jobs.worker import work
from tests.trial.models import Entry
from tests.trial.tasks import fail, nothing, record

pytestmark = pytest.mark.django_db


def message(*jobs: Job) -> None:
    work([str(job.pk) for job in jobs], jobs[0].queue)


def test_a_message_delivered_three_times_has_its_effect_once():
    job = record.enqueue(number=1)
    for _ in range(3):
        message(job)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    assert Entry.objects.count() == 1


def test_an_error_is_retried_until_the_attempts_are_used_up():
    job = fail.enqueue(message="the disk is full")
    states = []
    for _ in range(3):
        message(job)
        job.refresh_from_db()
        states.append(job.state)
        Job.objects.update(run_at=job.created_at)
    assert states == [State.RETRYING, State.RETRYING, State.DEAD]
    assert [(one["attempt"], one["error"], one["message"]) for one in job.errors] == [
        (attempt, "ValueError", "the disk is full") for attempt in (1, 2, 3)
    ]
    assert "in fail" in job.errors[0]["traceback"]
    assert "disk" not in job.error["message"], "its owner is not shown what only operators can use"


def test_a_permanent_error_is_not_retried_and_is_told_to_the_owner():
    job = fail.enqueue(message="That card was declined.", permanent=True)
    message(job)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.DEAD, 1)
    assert job.error == {"type": "Refused", "message": "That card was declined."}


def test_a_job_waits_for_what_is_away_as_long_as_it_takes_and_spends_no_attempt(monkeypatch):
    def body(job: Job, number: int) -> None:
        raise NotNow("The files cannot be reached.")

    monkeypatch.setattr(record, "body", body)
    job = record.enqueue(number=1)
    for _ in range(job.max_attempts + 1):
        message(job)
        job.refresh_from_db()
        assert (job.state, job.attempt) == (State.RETRYING, 0)
        assert job.run_at > timezone.now() + NotNow.retry_after / 2
        Job.objects.update(run_at=job.created_at)
    assert job.error == {"type": "NotNow", "message": "The files cannot be reached."}

    monkeypatch.undo()
    message(job)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)


def test_deaths_of_one_kind_have_one_fingerprint():
    for text in ("order 17 of 'Ann' is gone", "order 4 of 'Bob' is gone", "the disk is full"):
        message(fail.enqueue(message=text, permanent=True))
    assert len(set(Job.objects.values_list("fingerprint", flat=True))) == 2


def test_a_bundle_is_started_and_ended_together_but_each_job_is_its_own(django_assert_max_num_queries):
    jobs = [nothing.job(number=number) for number in range(50)]
    nothing.enqueue_many(jobs)
    Job.objects.filter(pk=jobs[7].pk).cancel()
    with django_assert_max_num_queries(4):
        message(*jobs)
    assert set(Job.objects.exclude(pk=jobs[7].pk).values_list("state", "attempt")) == {(State.SUCCEEDED, 1)}
    assert Job.objects.get(pk=jobs[7].pk).state == State.CANCELLED


def test_the_clock_takes_jobs_from_a_dead_worker_and_gives_up_on_one_that_kills(monkeypatch):
    monkeypatch.setattr(patrol.broker, "publish", lambda jobs: None)
    job = record.enqueue(number=1)
    Job.objects.update(max_attempts=2)
    for expected in (State.RETRYING, State.DEAD):
        Job.objects.update(run_at=job.created_at)
        assert Job.objects.start("a worker")
        Job.objects.update(lease_until=job.created_at)
        patrol.rescue()
        assert Job.objects.get().state == expected
    assert Job.objects.get().error["type"] == "worker_lost"


def test_the_clock_leaves_jobs_alone_whose_lease_holds():
    record.enqueue(number=1)
    Job.objects.start("a worker")
    patrol.rescue()
    assert Job.objects.get().state == State.RUNNING


@pytest.mark.parametrize(
    ("waiting_messages", "age", "again"), [(0, 5, False), (0, 15, True), (3, 15, False), (3, 90, True)]
)
def test_a_lost_message_is_noticed_and_a_job_in_line_is_not(monkeypatch, waiting_messages, age, again):
    monkeypatch.setattr(patrol.broker, "has_forgotten", lambda: False)
    monkeypatch.setattr(patrol.broker, "waiting_messages", lambda queue: waiting_messages)
    job = record.enqueue(number=1)
    ago = job.run_at - timedelta(seconds=age)
    Job.objects.update(published_at=ago, run_at=ago)
    patrol.notice_losses()
    assert (Job.objects.get().published_at is None) == again


def test_a_broker_that_lost_its_memory_is_told_everything_again(monkeypatch):
    monkeypatch.setattr(patrol.broker, "has_forgotten", lambda: True)
    record.enqueue(number=1)
    patrol.notice_losses()
    assert Job.objects.get().published_at is None
