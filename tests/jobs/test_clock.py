"""What the clock does with the schedule, with beats in this process. Killed ones are in tests/guarantees."""

import atexit
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery import current_app
from celery.schedules import crontab
from django.conf import settings
from django.db import IntegrityError, transaction
from django_celery_beat.models import PeriodicTask

from config.schedule import SCHEDULE
from jobs import entries, slots
from jobs.clock import Clock
from jobs.errors import Superseded
from jobs.leader import LEASE, Leadership
from jobs.models import Beat, Entry, Job, Leader, Slot, State, from_now
from jobs.registry import registry
from jobs.retention import SLOTS_KEPT, prune
from jobs.schedule import Scheduled
from tests.trial.tasks import note_slot

pytestmark = pytest.mark.django_db

FIRED, CAUGHT_UP, SKIPPED, MISSED = (
    Slot.Outcome.FIRED,
    Slot.Outcome.CAUGHT_UP,
    Slot.Outcome.SKIPPED,
    Slot.Outcome.MISSED,
)
NIGHTLY = Scheduled(note_slot.name, crontab(hour="2", minute="0"))
OFTEN = Scheduled(note_slot.name, timedelta(seconds=5))


@pytest.fixture
def make_clock(monkeypatch):
    """A beat of another process, by its name."""
    monkeypatch.setattr(atexit, "register", lambda act: None)

    def make(declared: dict[str, Scheduled], name: str = "server1:1") -> Clock:
        clock = Clock(current_app)
        clock.declared, clock.leadership = declared, Leadership(name)
        return clock

    return make


@pytest.fixture
def run(make_clock):
    """Let one entry have been dealt with up to a moment, and the clock look at others."""

    clock = make_clock({})

    def run(one: Scheduled, since: str, *moments: str) -> Entry:
        clock.declared = {"entry": one}
        assert clock.leadership.hold()
        clock.take_over()
        Entry.objects.update(last_run_at=moment(since))
        for text in moments:
            clock.lead(moment(text))
        return Entry.objects.get()

    return run


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def outcomes() -> list[tuple[str, str]]:
    return [(f"{slot.slot:%d %H:%M:%S}", slot.outcome) for slot in Slot.objects.order_by("slot")]


# --- who leads ---


def test_one_beat_leads_and_the_others_stand_by(make_clock):
    beats = [make_clock({"entry": OFTEN}, f"server{number}:1") for number in range(3)]
    assert [bool(beat.leadership.hold()) for beat in beats for _ in range(2)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert set(Beat.objects.values_list("name", flat=True)) == {"server0:1", "server1:1", "server2:1"}
    assert Leader.objects.get().beat == "server0:1"


def test_a_leader_that_woke_up_too_late_fires_nothing(make_clock):
    frozen, other = make_clock({"entry": OFTEN}, "frozen:1"), make_clock({"entry": OFTEN}, "other:1")
    now = frozen.leadership.hold()
    frozen.lead(now)
    Leader.objects.update(renewed_at=from_now(-LEASE))
    assert other.leadership.hold()
    other.lead(now)  # and not later: on a slow machine something would be due
    Entry.objects.update(last_run_at=now - timedelta(seconds=10))
    with pytest.raises(Superseded):  # the round that it was frozen in
        frozen.lead(now)
    assert frozen.leadership.hold() is None
    assert not Job.objects.exists()
    assert Leader.objects.get().token == 2
    other.lead(now)
    assert [slot.outcome for slot in Slot.objects.order_by("slot")] == [FIRED, SKIPPED]


def test_a_beat_that_is_told_to_stop_has_another_take_over_at_once(make_clock):
    first, second = make_clock({}, "first:1"), make_clock({}, "second:1")
    assert first.leadership.hold()
    assert not second.leadership.hold()
    first.leadership.resign()
    assert second.leadership.hold()
    assert list(Beat.objects.values_list("name", flat=True)) == ["second:1"]


# --- what is fired ---


def test_a_slot_is_the_key_of_its_job_and_told_to_its_task_in_the_time_zone_of_the_entry(run):
    berlin = Scheduled(NIGHTLY.task, NIGHTLY.when, timezone="Europe/Berlin")
    entry = run(berlin, "2026-07-01T12:00:00", "2026-07-02T00:00:03")
    job = Job.objects.get()
    assert job.key == "entry@2026-07-02T00:00:00+00:00"
    assert job.args == {"slot": "2026-07-02T02:00:00+02:00"}
    assert (Slot.objects.get().job, Slot.objects.get().slot) == (job, entry.last_run_at)


def test_a_slot_is_fired_once_even_if_the_entry_says_it_was_not(run):
    run(OFTEN, "2026-03-01T02:00:00", "2026-03-01T02:00:06")
    again = run(OFTEN, "2026-03-01T02:00:00", "2026-03-01T02:00:06")
    assert outcomes() == [("01 02:00:05", FIRED)]
    assert Job.objects.count() == 1
    assert again.last_run_at == moment("2026-03-01T02:00:05")
    with pytest.raises(IntegrityError), transaction.atomic():
        Slot.objects.create(entry=again, slot=moment("2026-03-01T02:00:05"), outcome=FIRED)


def test_what_was_slept_through_is_caught_up_once(run):
    run(NIGHTLY, "2026-03-01T02:00:00", "2026-03-02T02:20:00", "2026-03-02T02:20:01")
    assert outcomes() == [("02 02:00:00", CAUGHT_UP)]
    assert Job.objects.count() == 1


def test_after_three_days_there_is_one_run_and_the_others_are_on_record_as_missed(run):
    run(NIGHTLY, "2026-03-01T02:00:00", "2026-03-04T14:00:00", "2026-03-05T02:00:01")
    Job.objects.update(state=State.SUCCEEDED)
    assert outcomes()[:3] == [("02 02:00:00", MISSED), ("03 02:00:00", MISSED), ("04 02:00:00", CAUGHT_UP)]
    assert Slot.objects.filter(job__isnull=False).count() == 1


def test_a_million_missed_slots_are_one_row(run):
    run(OFTEN, "2026-01-01T00:00:00", "2026-03-01T00:00:03")
    missed = Slot.objects.get(outcome=MISSED)
    assert (missed.number, missed.last) == (1_019_519, moment("2026-02-28T23:59:55"))
    assert Job.objects.count() == 1


def test_a_slot_is_skipped_while_the_job_before_is_unfinished(run):
    run(OFTEN, "2026-03-01T02:00:00", "2026-03-01T02:00:05", "2026-03-01T02:00:10", "2026-03-01T02:00:15")
    assert [outcome for _, outcome in outcomes()] == [FIRED, SKIPPED, SKIPPED]
    Job.objects.update(state=State.SUCCEEDED)
    run(OFTEN, "2026-03-01T02:00:15", "2026-03-01T02:00:20")
    assert [outcome for _, outcome in outcomes()] == [FIRED, SKIPPED, SKIPPED, FIRED]


def test_an_entry_that_may_overlap_is_fired_every_time(run):
    run(Scheduled(OFTEN.task, OFTEN.when, overlap=True), "2026-03-01T02:00:00", "2026-03-01T02:00:10")
    assert [outcome for _, outcome in outcomes()] == [FIRED, FIRED]


def test_an_entry_that_cannot_be_fired_does_not_stop_the_others(make_clock):
    clock = make_clock({"broken": Scheduled(OFTEN.task, OFTEN.when, kwargs={"nonsense": 1}), "sound": OFTEN})
    now = clock.leadership.hold()
    clock.lead(now)
    Entry.objects.update(last_run_at=now - timedelta(seconds=5))
    clock.lead(now)
    assert list(Slot.objects.values_list("entry__name", flat=True)) == ["sound"]


def test_a_round_ends_when_the_next_slot_is_due(make_clock):
    clock = make_clock({"entry": OFTEN})
    clock.lead(clock.leadership.hold())
    assert clock.lead(moment("2026-03-01T02:00:04.750")) == pytest.approx(0.25)
    assert clock.lead(moment("2026-03-01T02:00:01")) == 1.0


# --- what operators and code change ---


@pytest.fixture
def deploy(make_clock):
    """Start a clock on code that says this of the entry."""

    def deploy(one: Scheduled | None) -> Entry:
        Leader.objects.update(renewed_at=from_now(-LEASE))
        clock = make_clock({"entry": one} if one else {}, name="new:1")
        assert clock.leadership.hold()
        clock.take_over()
        return Entry.objects.get()

    return deploy


def test_what_code_changes_reaches_an_entry_that_no_operator_touched(deploy):
    deploy(NIGHTLY)
    later = Scheduled(NIGHTLY.task, crontab(hour="3", minute="0"), timezone="Europe/Berlin")
    assert deploy(later).times == slots.Crontab("0 3 * * *", "Europe/Berlin")
    assert deploy(OFTEN).times == slots.Every(timedelta(seconds=5))


def test_a_time_that_an_operator_chose_survives_restarts_and_changes_in_code(deploy):
    entry = deploy(NIGHTLY)
    entries.change_times(entry, slots.parse("30 4 * * *", "America/New_York"))
    chosen = slots.Crontab("30 4 * * *", "America/New_York")
    assert deploy(NIGHTLY).times == chosen
    assert deploy(OFTEN).times == chosen
    assert deploy(OFTEN).times == chosen


def test_a_changed_time_means_nothing_for_the_past(deploy):
    entry = deploy(NIGHTLY)
    Entry.objects.update(last_run_at=from_now(-timedelta(days=3)))
    entries.change_times(entry, slots.Every(timedelta(hours=1)))
    entry.refresh_from_db()
    assert datetime.now(ZoneInfo("UTC")) - entry.last_run_at < timedelta(minutes=1)


def test_a_pause_survives_restarts_and_its_slots_are_nobodys_loss(deploy):
    entry = deploy(OFTEN)
    assert entries.pause(entry)
    assert not entries.pause(entry)
    assert not deploy(OFTEN).enabled
    assert entries.enabled() == []
    assert entries.resume(entry)
    [resumed] = entries.enabled()
    assert datetime.now(ZoneInfo("UTC")) - resumed.last_run_at < timedelta(minutes=1)


def test_an_entry_that_was_paused_while_the_clock_looked_is_not_fired(make_clock):
    clock = make_clock({"entry": OFTEN})
    now = clock.leadership.hold()
    clock.lead(now)
    Entry.objects.update(last_run_at=now - timedelta(seconds=5))
    [entry] = entries.enabled()
    entries.pause(entry)
    clock.attend(entry, now)
    assert not Slot.objects.exists()


def test_an_entry_that_code_dropped_is_disabled_with_a_note_and_comes_back_with_the_code(deploy):
    deploy(NIGHTLY)
    dropped = deploy(None)
    assert not dropped.enabled
    assert dropped.description == "Not in the schedule of the code any more."
    assert not entries.resume(dropped)
    back = deploy(NIGHTLY)
    assert back.enabled
    assert back.description == ""


def test_rows_that_a_clock_before_this_one_made_are_taken_over(deploy):
    old = PeriodicTask.objects.create(name="entry", task="jobs.gone", **entries.rows_of(slots.parse("0 1 * * *")))
    entry = deploy(NIGHTLY)
    assert (entry.pk, entry.task) == (old.pk, NIGHTLY.task)


def test_old_slots_are_pruned(run):
    run(OFTEN, "2026-03-01T02:00:00", "2026-03-01T02:00:10")
    Slot.objects.filter(outcome=FIRED).update(fired_at=from_now(-SLOTS_KEPT - timedelta(days=1)))
    assert sum(prune()) == 1
    assert [outcome for _, outcome in outcomes()] == [SKIPPED]


def test_everything_in_the_schedule_is_a_task_and_takes_what_it_is_given():
    assert settings.CELERY_BEAT_SCHEDULER == "jobs.clock.Clock"
    for one in SCHEDULE.values():
        task = registry[one.task]
        told = {"slot": "2026-03-01T02:00:00+00:00"} if "slot" in task.arguments else {}
        task.check({**one.kwargs, **told})
        slots.of(one.when, one.timezone)
