"""The headline: whatever is killed, every job is done, and its effect happens once. `make chaos` runs the long form."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from jobs import broker
from jobs.models import Job, State
from tests.stack import Stack
from tests.trial.models import Entry
from tests.trial.tasks import plain_record, record
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LONG = os.environ.get("CHAOS") == "long"
JOBS, KILLS = (6000, 60) if LONG else (500, 6)
SECONDS = 0.01  # that each job takes
LINES = ["worker-quick", "clock", "valkey"]


@pytest.fixture(scope="module")
def workers(make_module_stack) -> Stack:
    return make_module_stack(only=LINES, JOB_LEASE_SECONDS="3", QUICK_WORKERS="4")


@pytest.fixture
def engine(workers):
    with workers.cleared():
        yield workers


def kill_a_worker(engine: Stack, turn: int) -> None:
    """One process of the pool, or now and then all of a worker's processes at once."""
    children = engine.children("worker-quick") if engine.pid("worker-quick") else []
    if turn % 6 == 5 or not children:
        engine.kill("worker-quick")
    else:
        os.kill(random.choice(children), signal.SIGKILL)


def kill_along_the_way(engine: Stack, done: Callable[[], int]) -> None:
    for turn in range(KILLS):
        moment = JOBS * (turn + random.random()) / (KILLS + 1)
        wait_until(lambda moment=moment: done() >= moment, timeout=120)
        kill_a_worker(engine, turn)


def effects() -> Counter[int]:
    """How many jobs had their effect that often."""
    per_job = Counter(Entry.objects.values_list("number", flat=True))
    return Counter(per_job[number] for number in range(JOBS))


def test_workers_killed_at_random_moments_lose_no_job_and_repeat_no_effect(engine):
    record.enqueue_many([record.job(number=number, seconds=SECONDS) for number in range(JOBS)])
    kill_along_the_way(engine, Entry.objects.count)
    wait_until(lambda: not Job.objects.exclude(state=State.SUCCEEDED).exists(), timeout=120)
    again = Job.objects.filter(attempt__gt=1).count()
    print(f"\nNightshift: {JOBS} jobs, {KILLS} workers killed, {again} attempts lost: {dict(effects())} effects")
    assert again, "no kill met a running job"
    assert effects() == {1: JOBS}


@pytest.mark.skipif(not LONG, reason="shows what others lose, in minutes")
def test_plain_celery_tasks_under_the_same_load_are_lost_and_repeated(engine):
    with broker._connection().Producer() as producer:
        for number in range(JOBS):
            plain_record.apply_async([number], {"seconds": SECONDS}, producer=producer)
    kill_along_the_way(engine, Entry.objects.count)
    wait_until(nothing_waits, timeout=400)
    found = effects()
    twice = sum(jobs for times, jobs in found.items() if times > 1)
    print(f"\nCelery, acks_late: {JOBS} tasks, {KILLS} workers killed: {found[0]} lost, {twice} with repeated effects")
    assert found[0] or twice, "Celery has learned something: look at the README's headline again"


def nothing_waits() -> bool:
    with broker._connection().channel() as channel:
        return not (broker.waiting_messages("quick") + channel.client.hlen("unacked"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_a_database_restarted_under_load_loses_no_job_and_repeats_no_effect(engine, postgres_server, number):
    record.enqueue_many([record.job(number=number, seconds=SECONDS) for number in range(JOBS)])
    wait_until(lambda: Entry.objects.count() > JOBS / 4, timeout=60)
    connection.close()
    postgres_server.stop(number)
    postgres_server.start()
    wait_until(lambda: not Job.objects.exclude(state=State.SUCCEEDED).exists(), timeout=120)
    assert effects() == {1: JOBS}
