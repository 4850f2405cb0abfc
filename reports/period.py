"""The days that a report is about. They begin and end by UTC, wherever anybody is."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db.models import QuerySet

DAY = timedelta(days=1)
LONG = 62  # days, from which on months are easier to read

Rows = TypeVar("Rows", bound=QuerySet[Any])


class Period(NamedTuple):
    """From the first day to the last, which belongs to it."""

    first: date
    last: date

    def __str__(self) -> str:
        return in_words(self.first) if self.days == 1 else f"{in_words(self.first)} to {in_words(self.last)}"

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """The moment it begins, and the one at which it is over."""
        return midnight(self.first), midnight(self.last + DAY)

    @property
    def is_long(self) -> bool:
        return self.days > LONG

    def of(self, rows: Rows, moment: str, owner: Any) -> Rows:
        """Those of the rows whose `moment` is in it, and which are the owner's. None: everybody's."""
        since, until = self.moments
        rows = rows.filter(**{f"{moment}__gte": since, f"{moment}__lt": until})
        return rows if owner is None else rows.filter(owner=owner)

    @property
    def before(self) -> "Period":
        """As many days, right before."""
        return Period(self.first - DAY * self.days, self.first - DAY)

    @property
    def days_named(self) -> list[str]:
        """For the name of a file."""
        return [day.isoformat() for day in (self.first, self.last)[: 2 if self.days > 1 else 1]]

    def every_day(self) -> list[date]:
        return [self.first + DAY * number for number in range(self.days)]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
