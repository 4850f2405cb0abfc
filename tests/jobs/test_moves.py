"""The moves of a job, and who may make them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.errors import LeaseLost
from jobs.models import FINISHED, TRANSITIONS, Job, State
from jobs.queues import pause, resume
from jobs.signals import job_changed
from tests.trial.models import Entry
from tests.trial.tasks import long, record

pytestmark = pytest.mark.django_db


def started(**launch: object) -> Job:
    record.enqueue(number=1, **launch)
    [job] = Job.objects.start("a worker")
    return job


def test_a_job_is_started_once():
    job = record.enqueue(number=1)
    assert [one.pk for one in Job.objects.filter(pk=job.pk).start("first")] == [job.pk]
    assert Job.objects.filter(pk=job.pk).start("second") == []
    job.refresh_from_db()
    assert (job.state, job.attempt, job.worker) == (State.RUNNING, 1, "first")


def test_a_job_is_not_started_before_its_time():
    job = record.enqueue(number=1, run_at=timezone.now() + timedelta(minutes=1))
    assert Job.objects.filter(pk=job.pk).start("a worker") == []


def test_a_job_from_a_server_whose_clock_is_ahead_starts_at_once():
    job = record.enqueue(number=1)
    Job.objects.update(run_at=job.run_at + timedelta(seconds=2))
    assert Job.objects.filter(pk=job.pk).start("a worker")


def test_only_the_transitions_listed_are_possible():
    job = record.enqueue(number=1)
    for verb, (allowed, _) in TRANSITIONS.items():
        for state in State:
            token = job.pk if state == State.RUNNING else None
            Job.objects.filter(pk=job.pk).update(state=state, lease_token=token)
            after = {} if verb == "start" else {"lease_token": None}
            if verb == "start":
                after = {"lease_token": job.pk}
            moved = Job.objects.filter(pk=job.pk).move(verb, **after)
            assert bool(moved) == (state in allowed), f"{verb} from {state}"


def test_each_change_has_a_higher_version():
    job = started()
    job.retry(ValueError("no"), "Sorry.", timedelta(0))
    assert [one.version for one in Job.objects.start("another")] == [4]


def test_what_finishing_writes_exists_exactly_when_the_job_has_succeeded():
    job = started()
    with pytest.raises(ZeroDivisionError), job.finishing():
        Entry.objects.create(number=1)
        raise ZeroDivisionError
    assert not Entry.objects.exists()
    assert Job.objects.get().state == State.RUNNING
    with job.finishing({"answer": 42}):
        Entry.objects.create(number=1)
    assert Entry.objects.count() == 1
    assert (Job.objects.get().state, Job.objects.get().result) == (State.SUCCEEDED, {"answer": 42})


def test_a_worker_that_lost_its_lease_writes_nothing():
    zombie = started()
    Job.objects.update(lease_until=zombie.created_at - timedelta(seconds=1))
    zombie_as_seen_by_the_clock = Job.objects.lease_ran_out().get()
    zombie_as_seen_by_the_clock.retry(ValueError("lost"), "Lost.", timedelta(0))
    [successor] = Job.objects.start("another")
    with pytest.raises(LeaseLost), zombie.finishing():
        Entry.objects.create(number=1)
    for end in (
        lambda: zombie.succeed(),
        lambda: zombie.retry(ValueError(), "", timedelta(0)),
        lambda: zombie.bury(ValueError(), ""),
    ):
        with pytest.raises(LeaseLost):
            end()
    assert not Entry.objects.exists()
    successor.succeed()
    assert Job.objects.get().state == State.SUCCEEDED


def test_a_cancelled_job_does_not_succeed_afterwards():
    job = started()
    assert Job.objects.filter(pk=job.pk).cancel()
    with pytest.raises(LeaseLost):
        job.succeed("late")
    assert Job.objects.get().result is None


def test_requeue_gives_a_fresh_set_of_attempts_and_keeps_the_record():
    job = started()
    job.bury(ValueError("no"), "Sorry.")
    dead = Job.objects.get()
    assert dead.error == {"type": "ValueError", "message": "Sorry."}
    assert dead.fingerprint
    [requeued] = Job.objects.filter(pk=job.pk).requeue()
    assert (requeued.state, requeued.attempt, requeued.error) == (State.QUEUED, 0, None)
    assert [one["message"] for one in requeued.errors] == ["no"]


def test_a_released_job_has_spent_no_attempt():
    job = started()
    [released] = Job.objects.filter(pk=job.pk).release()
    assert (released.state, released.attempt, released.errors) == (State.QUEUED, 0, [])


def test_no_move_is_left_out_of_finished():
    ends = {state for _, state in TRANSITIONS.values()} - {State.RUNNING, State.RETRYING, State.QUEUED, State.SUSPENDED}
    assert ends == set(FINISHED)


def test_a_change_is_announced_when_it_is_committed(django_capture_on_commit_callbacks):
    heard = []

    def hear(job: Job, **_: object) -> None:
        heard.append((job.state, job.version))

    job_changed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            record.enqueue(number=1)
            assert heard == []
        with django_capture_on_commit_callbacks(execute=True):
            Job.objects.start("a worker")
    finally:
        job_changed.disconnect(hear)
    assert heard == [(State.QUEUED, 1), (State.RUNNING, 2)]


def test_jobs_of_a_paused_queue_wait():
    record.enqueue(number=1)
    pause("quick")
    assert Job.objects.start("a worker") == []
    resume("quick")
    assert Job.objects.get().published_at is None, "the clock is to publish it again: workers drop paused messages"
    assert len(Job.objects.start("a worker")) == 1


def test_owners_take_turns_in_a_fair_queue(django_user_model):
    busy, quiet = (django_user_model.objects.create_user(f"{name}@example.com") for name in ("busy", "quiet"))
    for number in range(3):
        long.enqueue(number=number, owner=busy)
    single = long.enqueue(number=9, owner=quiet)
    served = []
    while job := Job.objects.fairest("media"):
        [one] = Job.objects.filter(pk=job.pk).start("a worker")
        served.append(one.args["number"])
        one.succeed()
    assert served == [0, 9, 1, 2]
    assert single.owner == quiet


def test_priority_comes_before_turns(django_user_model):
    owner = django_user_model.objects.create_user("owner@example.com")
    long.enqueue(number=1, owner=owner)
    long.enqueue(number=2, owner=owner, priority=0)
    assert Job.objects.fairest("media").args["number"] == 2
