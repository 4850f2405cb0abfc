"""Nobody waits for somebody else's heap of work."""

import pytest

from accounts.models import User
from jobs.models import Job, State
from jobs.queues import pause, resume
from tests.stack import Stack
from tests.trial.tasks import long, record
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def workers(make_module_stack) -> Stack:
    return make_module_stack(only=["worker-media", "worker-quick", "clock", "valkey"])


@pytest.fixture
def engine(workers):
    with workers.cleared():
        yield workers


def test_one_owners_fifty_jobs_do_not_delay_anothers_single_one(engine):
    busy, quiet = (User.objects.create_user(f"{name}@example.com") for name in ("busy", "quiet"))
    heap = [long.enqueue(number=number, seconds=0.1, owner=busy) for number in range(50)]
    single = long.enqueue(number=99, seconds=0.1, owner=quiet)
    wait_until(lambda: Job.objects.get(pk=single.pk).state == State.SUCCEEDED)
    before = Job.objects.filter(owner=busy, finished_at__lt=Job.objects.get(pk=single.pk).finished_at).count()
    assert before < len(heap) / 2
    wait_until(lambda: not Job.objects.exclude(state=State.SUCCEEDED).exists(), timeout=60)


def test_a_paused_queue_stands_still_and_goes_on_when_it_is_resumed(engine):
    pause("quick")
    paused = record.enqueue(number=1)
    other = long.enqueue(number=2, seconds=0.1)
    wait_until(lambda: Job.objects.get(pk=other.pk).state == State.SUCCEEDED)
    assert Job.objects.get(pk=paused.pk).state == State.QUEUED
    resume("quick")
    wait_until(lambda: Job.objects.get(pk=paused.pk).state == State.SUCCEEDED)
