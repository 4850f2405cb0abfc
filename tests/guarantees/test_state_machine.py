"""No sequence of moves, by any number of processes that interleave, makes an illegal state, a lost job or two winners.

Each rule is one statement as some process would send it, so interleavings of processes are sequences of rules. Workers
keep what they were given when they started a job and act on it later, however stale it has become.
"""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from jobs import family, patrol
from jobs.errors import LeaseLost
from jobs.models import FINISHED, TRANSITIONS, Job, State
from jobs.worker import fail
from tests.trial.models import Entry
from tests.trial.tasks import record

JOBS = 3
# From one state to another by any one move. Nothing else may ever be seen.
STEPS = {(before, after) for allowed, after in TRANSITIONS.values() for before in allowed}


class Life(RuleBasedStateMachine):
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        Entry.objects.all().delete()
        Job.objects.all().delete()
        record.enqueue_many([record.job(number=number) for number in range(JOBS)])
        Job.objects.update(max_attempts=3)
        self.seen = {job.pk: job for job in Job.objects.all()}

    @rule(target=attempts, number=st.integers(0, JOBS - 1))
    def a_message_arrives(self, number):
        before = Job.objects.get(args__number=number)
        due = Job.objects.due().filter(pk=before.pk).exists()
        started = Job.objects.filter(pk=before.pk).start("a worker")
        assert bool(started) == due
        return started[0] if started else before

    @rule(target=attempts, attempt=attempts)
    def a_worker_goes_on_with_what_it_knows(self, attempt):
        return attempt

    @rule(attempt=consumes(attempts))
    def a_worker_finishes(self, attempt):
        holds = self.holds(attempt)
        try:
            with attempt.finishing():
                Entry.objects.create(number=attempt.args["number"])
            won = True
        except LeaseLost:
            won = False
        assert won == holds

    @rule(attempt=attempts)
    def a_worker_fails(self, attempt):
        holds = self.holds(attempt)
        try:
            fail(attempt, ValueError("no"))
            won = True
        except LeaseLost:
            won = False
        assert won == holds

    @rule(attempt=attempts)
    def a_worker_advances(self, attempt):
        advanced = Job.objects.holding_lease(attempt.pk, attempt.lease_token).change(progress=0.5)
        assert bool(advanced) == self.holds(attempt)

    @rule(attempt=attempts)
    def a_worker_hands_back(self, attempt):
        holds = self.holds(attempt)
        released = Job.objects.filter(pk=attempt.pk, lease_token=attempt.lease_token).release()
        assert bool(released) == (holds and attempt.lease_token is not None)

    @rule(attempt=attempts)
    def a_worker_waits_for_children(self, attempt):
        holds = self.holds(attempt)
        suspended = Job.objects.holding_lease(attempt.pk, attempt.lease_token).suspend("waits")
        assert bool(suspended) == holds

    @rule()
    def all_children_have_succeeded(self):
        family.go_on(Job.objects.all())
        assert not Job.objects.filter(state=State.SUSPENDED).exists()

    @rule()
    def leases_run_out(self):
        Job.objects.filter(state=State.RUNNING).update(lease_until="2000-01-01T00:00:00Z")
        patrol.rescue()

    @rule(number=st.integers(0, JOBS - 1), verb=st.sampled_from(["cancel", "bury", "requeue"]))
    def an_operator_acts(self, number, verb):
        before = Job.objects.get(args__number=number)
        moved = getattr(Job.objects.filter(pk=before.pk), verb)()
        assert bool(moved) == (before.state in TRANSITIONS[verb][0])
        if moved and verb == "requeue":
            Entry.objects.filter(number=number).delete()  # what was asked for again may happen again

    @rule()
    def time_passes(self):
        Job.objects.waiting().update(run_at="2000-01-01T00:00:00Z")

    def holds(self, attempt: Job) -> bool:
        now = Job.objects.get(pk=attempt.pk)
        return now.state == State.RUNNING and now.lease_token == attempt.lease_token

    @invariant()
    def every_step_was_a_legal_one(self):
        now = {job.pk: job for job in Job.objects.all()}
        assert now.keys() == self.seen.keys(), "a job is gone"
        for pk, job in now.items():
            before = self.seen[pk]
            assert job.version >= before.version
            if job.state != before.state:
                assert job.version > before.version
                assert (before.state, job.state) in STEPS
            assert 0 <= job.attempt <= job.max_attempts
            assert (job.state == State.RUNNING) == (job.lease_token is not None)
            assert (job.state in FINISHED) == (job.finished_at is not None)
        self.seen = now

    @invariant()
    def an_effect_exists_exactly_when_its_job_has_succeeded(self):
        effects = sorted(Entry.objects.values_list("number", flat=True))
        succeeded = sorted(Job.objects.filter(state=State.SUCCEEDED).values_list("args__number", flat=True))
        assert effects == succeeded


@pytest.mark.django_db
def test_no_sequence_of_moves_breaks_a_promise():
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=timedelta(seconds=20),
            suppress_health_check=list(HealthCheck),
        ),
    )
