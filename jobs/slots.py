"""When an entry of the schedule is due. Arithmetic with moments, which knows no database and asks no clock.

A slot is a due time. It follows from the schedule alone and not from when somebody looked, so two beats that know
nothing of each other mean the same moment by it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
PROMPT = timedelta(seconds=10)  # no later than this is no outage: a takeover takes that long
ONE_BY_ONE = 100  # missed slots up to this many are listed, more are counted
LONGEST_GAP = 41 * 366  # days; the 29th of February on a Monday takes up to 40 years
UNITS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}


@dataclass(frozen=True)
class Every:
    """As often as `period`, which is whole seconds, counted from 1970 on."""

    period: timedelta
    timezone = "UTC"

    def after(self, moment: datetime) -> datetime:
        """The first slot after this moment."""
        return self.latest(moment) + self.period

    def latest(self, moment: datetime) -> datetime:
        """The last slot up to this moment."""
        return EPOCH + (moment - EPOCH) // self.period * self.period

    def count(self, after: datetime, until: datetime) -> int:
        return (self.latest(until) - self.latest(after)) // self.period

    def __str__(self) -> str:
        seconds = int(self.period.total_seconds())
        unit = next(unit for unit, length in UNITS.items() if seconds % length == 0)
        number = seconds // UNITS[unit]
        return f"every {unit}" if number == 1 else f"every {number} {unit}s"


@dataclass(frozen=True)
class Crontab:
    """By the wall clock of a time zone: minute, hour, day of the month, month, day of the week (0 is Sunday).

    All three of the day must match, as in Celery. A wall time that a daylight-saving change skips is due as far after
    the change as it would have been without; one that comes twice is due the first time, unless it is due every hour.
    """

    expression: str
    timezone: str = "UTC"

    def after(self, moment: datetime) -> datetime:
        """The first slot after this moment."""
        for day in self._days(moment, step=1):
            slots = _slots(self, day)
            if slots and slots[-1] > moment:
                return slots[bisect_right(slots, moment)]
        raise ValueError(f"{self} never comes.")

    def latest(self, moment: datetime) -> datetime:
        """The last slot up to this moment."""
        for day in self._days(moment, step=-1):
            slots = _slots(self, day)
            if slots and slots[0] <= moment:
                return slots[bisect_right(slots, moment) - 1]
        raise ValueError(f"{self} never comes.")

    def count(self, after: datetime, until: datetime) -> int:
        number, last = 0, until.astimezone(self.zone).date() + timedelta(days=1)
        for day in self._days(after, step=1):
            if day > last:
                break
            slots = _slots(self, day)
            number += bisect_right(slots, until) - bisect_right(slots, after)
        return number

    def _days(self, moment: datetime, step: int) -> Iterator[date]:
        """From the day of this moment on, and the one before it: a skipped wall time may be due on the next day."""
        day = moment.astimezone(self.zone).date() - timedelta(days=step)
        for number in range(LONGEST_GAP):
            yield day + timedelta(days=step * number)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def fields(self) -> crontab:
        return crontab.from_string(self.expression)

    def __str__(self) -> str:
        return self.expression


Times = Every | Crontab


@lru_cache(maxsize=1000)
def _slots(times: Crontab, day: date) -> tuple[datetime, ...]:
    """The slots of a day of the wall clock, in order."""
    fields = times.fields
    matches = (
        day.month in fields.month_of_year
        and day.day in fields.day_of_month
        and day.isoweekday() % 7 in fields.day_of_week
    )
    if not matches:
        return ()
    folds = (0, 1) if len(fields.hour) == 24 else (0,)
    moments = {
        datetime(day.year, day.month, day.day, hour, minute, tzinfo=times.zone, fold=fold).astimezone(UTC)
        for hour in fields.hour
        for minute in fields.minute
        for fold in folds
    }
    return tuple(sorted(moments))


# --- what to do about slots that have come ---


class Missed(NamedTuple):
    """Slots that nobody fired: from the first to the last of them."""

    first: datetime
    last: datetime
    number: int = 1


class Due(NamedTuple):
    """What has become of the slots after one moment, up to another. Each of `fire` is to make one job."""

    fire: list[datetime]
    missed: list[Missed]
    until: datetime  # the last of them, after which the next round goes on


def due(times: Times, after: datetime, now: datetime, catch_up: timedelta | None) -> Due | None:
    """None: no slot has come.

    After a takeover every slot is fired. After an outage the latest is, if it is no older than `catch_up`, and the
    others are missed: who slept for three days does not do the same thing three times.
    """
    first = times.after(after)
    if first > now:
        return None
    latest = times.latest(now)
    if now - first <= PROMPT:
        return Due(list(_between(times, after, now)), [], latest)
    if now - latest <= max(catch_up or PROMPT, PROMPT):
        return Due([latest], _missed(times, after, latest - INSTANT), latest)
    return Due([], _missed(times, after, now), latest)


def is_late(slot: datetime, now: datetime) -> bool:
    return now - slot > PROMPT


def coming(times: Times, after: datetime, number: int) -> list[datetime]:
    slots: list[datetime] = []
    while len(slots) < number:
        slots.append(times.after(slots[-1] if slots else after))
    return slots


def _missed(times: Times, after: datetime, until: datetime) -> list[Missed]:
    number = times.count(after, until)
    if number <= ONE_BY_ONE:
        return [Missed(slot, slot) for slot in _between(times, after, until)]
    return [Missed(times.after(after), times.latest(until), number)]


def _between(times: Times, after: datetime, until: datetime) -> Iterator[datetime]:
    while (after := times.after(after)) <= until:
        yield after


# --- as people write it ---


def of(when: "crontab | timedelta", timezone: str) -> Times:
    """What a table in code says."""
    if isinstance(when, timedelta):
        return Every(_whole(when))
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return parse(" ".join(_field(getattr(when, f"_orig_{field}")) for field in fields), timezone)


def parse(text: str, timezone: str = "UTC") -> Times:
    """Read "every 5 minutes" or "30 2 * * *". Raises ValueError with what is wrong."""
    if words := re.fullmatch(r"every(?:\s+(\d+))?\s+(second|minute|hour|day)s?", text.strip(), re.IGNORECASE):
        number, unit = words.groups()
        return Every(_whole(timedelta(seconds=int(number or 1) * UNITS[unit.lower()])))
    if timezone not in timezones():
        raise ValueError(f"There is no time zone “{timezone}”. Write it as Europe/Berlin or UTC.")
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(
            "Write five fields: minute, hour, day of the month, month, day of the week. Or: every 5 minutes."
        )
    times = Crontab(" ".join(fields), timezone)
    try:
        times.after(EPOCH)
    except (ValueError, ParseException) as error:
        raise ValueError(f"“{text}” is no crontab: {error}") from None
    return times


def _whole(period: timedelta) -> timedelta:
    if period < timedelta(seconds=1) or period % timedelta(seconds=1):
        raise ValueError("An interval is a whole number of seconds.")
    if period > timedelta(days=366):
        raise ValueError("An interval is a year at most.")
    return period


def _field(given: object) -> str:
    return ",".join(map(str, sorted(given))) if isinstance(given, set | list | tuple) else str(given).replace(" ", "")


@cache
def timezones() -> list[str]:
    return sorted(available_timezones())
