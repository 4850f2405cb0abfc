"""The days that a report is about. They begin and end by UTC, wherever anybody is."""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

DAY = timedelta(days=1)


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
