"""Counts that stay quick however many rows there are."""

from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

CAP = 10_000


class Count(NamedTuple):
    number: int
    more: bool = False  # there are more: counting stopped at the cap

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"

    def __add__(self, other: Any) -> "Count":
        return Count(self.number + other.number, self.more or other.more)


def capped(rows: QuerySet[Any], column: str = "pk") -> Count:
    """How many rows there are, counted up to the cap. Name a column of the index that finds them: it alone is read."""
    number = rows.order_by().values(column)[: CAP + 1].count()
    return Count(min(number, CAP), more=number > CAP)


class CappedPaginator(Paginator):
    """Pages through the newest rows, and never counts a whole table to do so."""

    @cached_property
    def count(self) -> int:
        return capped(self.object_list).number  # type: ignore[arg-type]
