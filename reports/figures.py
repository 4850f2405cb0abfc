"""What a report says, whatever it is about and however it is written: facts, and tables with their charts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from orders import money


class Money(NamedTuple):
    """In minor units, such as cents."""

    amount: int
    currency: str

    def __str__(self) -> str:
        return money.in_words(self.amount, self.currency)

    @property
    def exact(self) -> Decimal:
        return money.exact(self.amount, self.currency)


Cell = str | int | float | date | timedelta | Money | None


class Kind(Enum):
    """Of what is in a column: how it is written, and aligned."""

    TEXT = "text"
    DAY = "day"
    MONTH = "month"  # its first day
    NUMBER = "number"
    MONEY = "money"
    SPAN = "span"
    MINUTES = "minutes"
    BYTES = "bytes"
    CHANGE = "change"  # to the period before: 0.1 is 10 % more


class Column(NamedTuple):
    name: str
    kind: Kind


class Chart(NamedTuple):
    """Of one column of a table over its first. Drawn of the first so many rows, which are of one currency."""

    title: str
    column: int
    rows: int
    line: bool  # else bars


@dataclass
class Table:
    """The first column says what a row is of."""

    by: str
    columns: list[Column]
    rows: list[list[Any]]  # of cells
    chart: Chart | None = None
    in_print: bool = True  # else too long for paper: another table or the chart says it there

    def drawn(self) -> Iterator[tuple[Cell, Cell]]:
        """The points of the chart."""
        assert self.chart
        for row in self.rows[: self.chart.rows]:
            yield row[0], row[self.chart.column]


class Fact(NamedTuple):
    """One figure that people look for first."""

    name: str
    kind: Kind
    value: Cell
    change: float | None = None  # to the period before


@dataclass
class Figures:
    facts: list[Fact] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # how to read them


def change(now: float, before: float) -> float | None:
    """By what part it has grown. None: there was nothing before to compare with."""
    return (now - before) / before if before else None


def written(kind: Kind, value: Cell) -> str:
    """As people read it."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, timedelta):
        return span(value.total_seconds())
    if isinstance(value, date):
        return f"{value:%B %Y}" if kind == Kind.MONTH else f"{value.day} {value:%b %Y}"
    if kind == Kind.CHANGE and isinstance(value, float):
        return f"{100 * value:+,.1f} %"
    if kind == Kind.BYTES and isinstance(value, int):
        return size(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def span(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
