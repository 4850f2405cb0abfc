"""The geometry of a chart, for the page and for paper alike: where things go, and what is written beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, floor, log10
from typing import NamedTuple

from reports.figures import Cell, Kind, Money, Table, written

STEPS = (1, 2, 2.5, 5, 10)
MOST_LABELS = 8  # along a line


class Mark(NamedTuple):
    """A point or a bar. Both parts are from 0 to 1: of the width from the left, and of the height from the bottom."""

    x: float
    y: float
    label: str
    value: str


class Tick(NamedTuple):
    at: float
    label: str


@dataclass
class Drawing:
    title: str
    line: bool
    marks: list[Mark]
    values: list[Tick]  # of the axis of values
    labels: list[Tick]  # of the axis of days; bars have theirs beside them


def draw(table: Table) -> Drawing:
    assert table.chart
    points = list(table.drawn())
    numbers = [as_number(value) for _, value in points]
    ticks = scale(max([0.0, *numbers]), whole=all(isinstance(value, int) for _, value in points))
    top = ticks[-1]
    of, measured = table.columns[0].kind, table.columns[table.chart.column].kind
    marks = [
        Mark(number / max(1, len(points) - 1), max(0.0, one) / top, written(of, label), written(measured, value))
        for number, (one, (label, value)) in enumerate(zip(numbers, points, strict=True))
    ]
    return Drawing(
        table.chart.title,
        table.chart.line,
        marks,
        [Tick(one / top, short(measured, one)) for one in ticks],
        [Tick(marks[number].x, day_in_short(points[number][0])) for number in spread(len(points))],
    )


def as_number(value: Cell) -> float:
    if isinstance(value, Money):
        return float(value.exact)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if isinstance(value, int | float) else 0.0


def scale(highest: float, *, whole: bool = False) -> list[float]:
    """Round numbers from 0 to at least `highest`, four or five of them."""
    if highest <= 0:
        return [0, 1]
    rough = highest / 4
    power = 10 ** floor(log10(rough))
    step = next(one * power for one in STEPS if one * power >= rough)
    if whole:
        step = max(1, ceil(step))
    return [step * number for number in range(ceil(highest / step) + 1)]


def spread(number: int) -> Sequence[int]:
    """Which of so many points to label: the first and others as far from each other."""
    return range(0, number, max(1, ceil(number / MOST_LABELS)))


def short(kind: Kind, value: float) -> str:
    if kind == Kind.BYTES:
        return written(kind, int(value))
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= unit:
            return f"{value / unit:,.4g} {letter}"
    return f"{value:,.4g}"


def day_in_short(cell: Cell) -> str:
    return f"{cell.day} {cell:%b}" if isinstance(cell, date) else ""
