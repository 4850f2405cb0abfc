"""What operators see of the schedule: who leads, when each entry is due, and what became of its slots."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from celery import current_app
from django.utils import timezone

from jobs import slots
from jobs.entries import written
from jobs.leader import LEASE
from jobs.models import Beat, Entry, Leader, Slot
from jobs.schedule import Scheduled

PAGE = 50
COMING = 5  # slots that the page of an entry foretells
GONE = 2 * LEASE  # a beat that was not seen for this long is not there


class Health(NamedTuple):
    leader: Leader | None  # None: nobody leads, and nothing is fired
    standing_by: list[Beat]


class Line(NamedTuple):
    entry: Entry
    one: Scheduled | None  # what code declares; None: nothing any more
    times: slots.Times
    coming: list[datetime]  # its next slots; none while it is paused
    last: Slot | None
    changed: bool  # an operator has chosen another time than code

    @property
    def declared_times(self) -> slots.Times | None:
        return slots.of(self.one.when, self.one.timezone) if self.one else None


def declared() -> Mapping[str, Scheduled]:
    return current_app.conf.beat_schedule


def health() -> Health:
    """A look is as old as the clocks of this server and the database differ; they are given some seconds."""
    there = timezone.now() - GONE
    leader = Leader.objects.filter(renewed_at__gt=there).first()
    beats = Beat.objects.filter(seen_at__gt=there).order_by("name")
    return Health(leader, [beat for beat in beats if leader is None or beat.name != leader.beat])


def overview() -> list[Line]:
    """All entries: those that code has first, by name."""
    lines = [line(entry) for entry in Entry.objects.select_related("crontab", "interval").order_by("name")]
    return sorted(lines, key=lambda line: line.one is None)


def line(entry: Entry, number: int = 1) -> Line:
    one = declared().get(entry.name)
    times = entry.times
    coming = slots.coming(times, timezone.now(), number) if entry.enabled else []
    last = Slot.objects.filter(entry=entry, job__isnull=False).select_related("job").order_by("-slot").first()
    changed = one is not None and written(times) != written(slots.of(one.when, one.timezone))
    return Line(entry, one, times, coming, last, changed)


def find(pk: int) -> Line | None:
    entry = Entry.objects.select_related("crontab", "interval").filter(pk=pk).first()
    return line(entry, COMING) if entry else None


def history(entry: Entry, before: datetime | None) -> tuple[Sequence[Slot], datetime | None]:
    """A page of its slots, the newest first, and where the next one begins."""
    found = Slot.objects.filter(entry=entry).select_related("job").order_by("-slot")
    if before:
        found = found.filter(slot__lt=before)
    page = list(found[: PAGE + 1])
    return page[:PAGE], page[PAGE - 1].slot if len(page) > PAGE else None
