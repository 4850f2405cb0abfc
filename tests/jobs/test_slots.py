"""When entries are due: over daylight-saving changes, after takeovers and after outages. No clock, no database."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab

from jobs import slots
from jobs.slots import Crontab, Every, Missed

DAY = timedelta(days=1)
NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
CHANGES = [
    pytest.param(zone, day, id=f"{zone} {day}")
    for zone, days in {NEW_YORK: ["2026-03-08", "2026-11-01"], BERLIN: ["2026-03-29", "2026-10-25"]}.items()
    for day in days
]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def simulate(times: slots.Times, since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """What a clock fires that looks every `step`."""
    fired: list[datetime] = []
    after, now = since, since
    while now < until:
        now += step
        if found := slots.due(times, after, now, DAY):
            fired += found.fire
            after = found.until
    return fired


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("wall", ["0 0", "30 1", "30 2", "0 3", "59 23"])
def test_a_daily_entry_is_due_once_on_each_day_over_a_daylight_saving_change(zone, change, wall):
    since = at(f"{change}T23:59:30", zone) - 3 * DAY
    times = Crontab(f"{wall} * * *", zone)
    fired = simulate(times, since.astimezone(UTC), (since + 6 * DAY).astimezone(UTC), timedelta(minutes=1))
    days = [slot.astimezone(ZoneInfo(zone)).date() for slot in fired]
    assert days == [date.fromisoformat(change) + DAY * number for number in range(-2, 4)]


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("hourly_in", ["UTC", "the zone"])
def test_an_hourly_entry_is_due_every_hour_over_a_daylight_saving_change(zone, change, hourly_in):
    since = at(f"{change}T00:00", zone).astimezone(UTC) - DAY
    times = Crontab("17 * * * *", "UTC" if hourly_in == "UTC" else zone)
    fired = simulate(times, since, since + 3 * DAY, timedelta(seconds=10))
    assert len(fired) == 3 * 24
    assert {later - slot for slot, later in itertools.pairwise(fired)} == {timedelta(hours=1)}


def test_a_wall_time_that_is_skipped_comes_as_much_later_and_one_that_comes_twice_counts_the_first_time():
    times = Crontab("30 2 * * *", NEW_YORK)
    assert times.after(at("2026-03-08T00:00", NEW_YORK)) == at("2026-03-08T03:30", NEW_YORK)
    times = Crontab("30 1 * * *", NEW_YORK)
    assert times.after(at("2026-11-01T00:00", NEW_YORK)) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert times.after(datetime(2026, 11, 1, 5, 30, tzinfo=UTC)) == at("2026-11-02T01:30", NEW_YORK)


@pytest.mark.parametrize(
    "times",
    [
        Every(timedelta(seconds=7)),
        Crontab("*/20 * * * *"),
        Crontab("0 9 * * 1-5", BERLIN),
        Crontab("30 2 1 * *", NEW_YORK),
    ],
)
def test_after_latest_and_count_agree(times):
    moment = at("2026-01-01")
    found = slots.coming(times, moment, 40)
    assert found == sorted(set(found))
    for number, slot in enumerate(found, start=1):
        assert times.latest(slot) == times.latest(slot + timedelta(microseconds=1)) == slot
        assert times.count(moment, slot) == number
        assert times.count(slot - timedelta(microseconds=1), slot) == 1


def test_an_interval_is_counted_from_1970_whoever_looks_and_whenever():
    assert Every(timedelta(minutes=5)).after(at("2026-03-01T02:03:07.5")) == at("2026-03-01T02:05")


def test_after_a_takeover_every_slot_is_fired():
    found = slots.due(Every(timedelta(seconds=3)), at("2026-03-01T02:00:00"), at("2026-03-01T02:00:10"), None)
    assert [slot.second for slot in found.fire] == [3, 6, 9]
    assert found.missed == []


def test_after_an_outage_the_latest_is_fired_and_the_others_are_missed():
    nightly = Crontab("0 2 * * *")
    found = slots.due(nightly, at("2026-03-01T02:00"), at("2026-03-04T02:20"), DAY)
    assert found.fire == [at("2026-03-04T02:00")]
    assert [one.first.day for one in found.missed] == [2, 3]
    assert slots.due(nightly, found.until, at("2026-03-04T02:21"), DAY) is None


@pytest.mark.parametrize("catch_up", [None, timedelta(minutes=19)])
def test_what_is_too_late_to_be_caught_up_is_missed(catch_up):
    found = slots.due(Crontab("0 2 * * *"), at("2026-03-01T02:00"), at("2026-03-02T02:20"), catch_up)
    assert found.fire == []
    assert found.missed == [Missed(at("2026-03-02T02:00"), at("2026-03-02T02:00"))]


def test_even_what_is_never_caught_up_is_fired_after_a_takeover():
    found = slots.due(Crontab("0 2 * * *"), at("2026-03-01T02:00"), at("2026-03-02T02:00:09"), None)
    assert found.fire == [at("2026-03-02T02:00")]


def test_a_million_missed_slots_are_one_line():
    found = slots.due(Every(timedelta(seconds=5)), at("2026-01-01"), at("2026-03-01T00:00:03"), DAY)
    assert found.fire == [at("2026-03-01")]
    assert found.missed == [Missed(at("2026-01-01T00:00:05"), at("2026-02-28T23:59:55"), 1_019_519)]


@pytest.mark.parametrize(
    ("when", "written"),
    [
        (crontab(minute="17"), "17 * * * *"),
        (crontab(minute=5, hour=[3, 1], day_of_week="mon-fri"), "5 1,3 * * mon-fri"),
        (timedelta(seconds=90), "every 90 seconds"),
        (timedelta(hours=1), "every hour"),
    ],
)
def test_what_code_says_is_written_as_people_would_and_read_again(when, written):
    times = slots.of(when, BERLIN)
    assert str(times) == written
    assert slots.parse(written, BERLIN) == times


@pytest.mark.parametrize(
    ("text", "zone", "wrong"),
    [
        ("99 * * * *", "UTC", "no crontab"),
        ("0 0 30 2 *", "UTC", "never occurs"),
        ("2 o'clock", "UTC", "five fields"),
        ("every 0 seconds", "UTC", "whole number of seconds"),
        ("every 99999 days", "UTC", "a year at most"),
        ("0 2 * * *", "Mars/Base", "no time zone"),
    ],
)
def test_what_cannot_be_read_is_told(text, zone, wrong):
    with pytest.raises(ValueError, match=wrong):
        slots.parse(text, zone)
