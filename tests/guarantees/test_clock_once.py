"""Every slot of the schedule makes one job, however many beats run and whatever is done to the one that leads."""

import os
import signal
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config import parts
from config.processes import Processes
from jobs import broker, slots
from jobs.models import Entry, Job, Leader, Slot
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LONG = os.environ.get("CHAOS") == "long"
EVERY = "5,5,5" if LONG else "1,2"  # seconds, of each entry
SECONDS = 180 if LONG else 2  # of peace, before the leader is disturbed
TAKEOVER = 10  # seconds
BEATS = ["clock", "clock:2", "clock:3"]


@pytest.fixture(scope="module")
def beats(make_module_stack):
    """No worker: what is tried is which jobs there are, not that they run."""
    beats = make_module_stack(only=[*BEATS, "valkey"], TRIAL_SCHEDULE=EVERY)
    with beats.inside():
        wait_until(lambda: trial_slots().count() > 2, timeout=40)
        yield beats


def trial_slots():
    return Slot.objects.filter(entry__name__startswith="trial ")


def leader_pid() -> int:
    return int(Leader.objects.get().beat.rpartition(":")[2])


def taken_over(act) -> float:
    """Do something to the leader. Returns the seconds until a slot is fired under another one."""
    before = Leader.objects.get()
    act(leader_pid())
    began = time.monotonic()
    wait_until(lambda: Leader.objects.get().token > before.token, timeout=30)
    last = trial_slots().count()
    wait_until(lambda: trial_slots().count() > last, timeout=30)
    return time.monotonic() - began


def fired_on_for(seconds: float) -> None:
    until = trial_slots().first().slot + timedelta(seconds=seconds)
    wait_until(lambda: trial_slots().first().slot >= until, timeout=seconds + 30, every=0.2)


def assert_each_slot_made_one_job() -> None:
    """From the first slot of each entry to its last, none is left out, and none was fired twice."""
    for entry in Entry.objects.filter(name__startswith="trial "):
        found = list(trial_slots().filter(entry=entry).order_by("slot").values_list("slot", "outcome", "job__key"))
        moments = [slot for slot, _, _ in found]
        assert moments == slots.coming(entry.times, moments[0] - slots.INSTANT, len(moments))
        assert {outcome for _, outcome, _ in found} == {"fired"}
        assert [key for _, _, key in found] == [f"{entry.name}@{slot.isoformat()}" for slot in moments]
    # First the jobs, since the beats go on meanwhile.
    made = Counter(Job.objects.filter(key__startswith="trial ").values_list("key", flat=True))
    assert max(made.values()) == 1
    assert set(made) <= set(trial_slots().values_list("job__key", flat=True))


def worst_lateness() -> timedelta:
    return max(slot.lateness for slot in trial_slots())


def test_three_beats_fire_each_slot_once_while_the_leader_is_killed_and_frozen(beats: Stack):
    fired_on_for(SECONDS)
    assert_each_slot_made_one_job()
    usual = worst_lateness()

    killed = taken_over(lambda pid: os.kill(pid, signal.SIGKILL))

    frozen_pid = leader_pid()
    frozen = taken_over(lambda pid: os.kill(pid, signal.SIGSTOP))
    os.kill(frozen_pid, signal.SIGCONT)
    fired_on_for(2 * int(EVERY[0]))
    assert leader_pid() != frozen_pid

    number, outcomes = trial_slots().count(), Counter(trial_slots().values_list("outcome", flat=True))
    print(
        f"\n{number} slots, {dict(outcomes)}; late by {usual} at most in peace; taken over {killed:.1f} s after"
        f" SIGKILL and {frozen:.1f} s after SIGSTOP"
    )
    assert_each_slot_made_one_job()
    assert max(killed, frozen) <= TAKEOVER


def test_a_beat_that_is_stopped_in_order_hands_over_at_once(beats: Stack):
    [leading] = [name for name in BEATS if beats.pid(name) == leader_pid()]
    handed_over = taken_over(lambda pid: beats.stop(leading))
    beats.start_again(leading)
    assert handed_over < 3 + int(EVERY[0]), "more than the wait for the next slot"
    assert_each_slot_made_one_job()


def test_a_database_restart_loses_no_slot(beats: Stack, postgres_server):
    connection.close()
    began = time.monotonic()
    postgres_server.stop(signal.SIGINT)
    postgres_server.start()
    before = trial_slots().count()
    wait_until(lambda: trial_slots().count() > before, timeout=30)
    print(f"\nfires again {time.monotonic() - began:.1f} s after the database was stopped")
    assert time.monotonic() - began <= TAKEOVER
    fired_on_for(2 * int(EVERY[0]))
    assert_each_slot_made_one_job()


@pytest.mark.skipif(not LONG, reason="shows what others do")
def test_three_stock_beats_fire_each_slot_three_times(make_stack):
    with make_stack(only=["valkey"]).inside() as stack:
        wait_until(parts.valkey_socket(stack.folder).exists)
        interval = IntervalSchedule.objects.create(every=5, period="seconds")
        PeriodicTask.objects.create(name="stock", task="trial.plain_nothing", args="[1]", interval=interval)
        command = (
            "celery --app config --quiet beat --pidfile= --scheduler django_celery_beat.schedulers:DatabaseScheduler"
        )
        stock = Processes(dict.fromkeys(BEATS, command), stack.env, stack.log.open("a"))
        stock.start()
        wait_until(lambda: broker.waiting_messages("quick") > 0, timeout=40)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > SECONDS, timeout=SECONDS + 10)
        ticks, fired = SECONDS // 5, broker.waiting_messages("quick")
        stock.stop()
    print(f"\nthree stock beats: {ticks} slots of 5 s were fired {fired} times")
    assert fired > 2 * ticks, "django-celery-beat has learned something: look at the guarantees again"
