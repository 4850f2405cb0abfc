"""What was sold, by the day on which it was ordered. Revenue is what has been paid, and net what has not been refunded.

Currencies are never added up: whatever is sold in several has a row for each.
"""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, date
from itertools import groupby
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from orders import countries
from orders.models import Order, Product
from reports.figures import Chart, Column, Fact, Figures, Kind, Money, Table, change
from reports.period import Period

MEASURES = [
    Column("Currency", Kind.TEXT),
    Column("Orders", Kind.NUMBER),
    Column("Paid", Kind.NUMBER),
    Column("Pieces", Kind.NUMBER),
    Column("Revenue", Kind.MONEY),
    Column("Refunded", Kind.MONEY),
    Column("Net", Kind.MONEY),
]
NET = 1 + [column.name for column in MEASURES].index("Net")
CHANGE = Column("Net, change", Kind.CHANGE)


@dataclass
class Sold:
    """Of one day, product or country in one currency, in its minor units."""

    orders: int = 0
    paid: int = 0
    pieces: int = 0
    revenue: int = 0
    refunded: int = 0

    @property
    def net(self) -> int:
        return self.revenue - self.refunded

    def __add__(self, other: "Sold") -> "Sold":
        return Sold(*map(sum, zip(astuple(self), astuple(other), strict=True)))


Sums = dict[tuple[Any, str], Sold]  # by what they are of, and currency


def figures(period: Period, owner: Any) -> Figures:
    countries_now, countries_before = (sums(one, owner, F("country")) for one in (period, period.before))
    products_now, products_before = (sums(one, owner, F("product_id")) for one in (period, period.before))
    now, before = total(countries_now), total(countries_before)
    names: dict[int, str] = dict(Product.objects.values_list("pk", "name"))
    days = daily(period, owner)
    return Figures(
        facts=facts(now, before),
        tables=[
            *monthly(days, period),
            days,
            compared("product", products_now, products_before, lambda pk: names.get(pk, "")),
            compared("country", countries_now, countries_before, in_words),
        ],
        notes=[
            "An order counts on the day on which it was placed.",
            "Revenue is of orders that are paid; net is revenue less what was refunded, on whichever day.",
            f"Changes are to the {period.before.days} days before: {period.before}.",
        ],
    )


def daily(period: Period, owner: Any) -> Table:
    found = sums(period, owner, TruncDate("created_at", tzinfo=UTC))
    rows = [
        row(day, currency, found.get((day, currency), Sold()))
        for currency in by_weight(found) or ["eur"]
        for day in period.every_day()
    ]
    chart = Chart(f"Net revenue by day, {currency_of(rows)}", NET, period.days, line=True)
    return Table("day", [Column("Day", Kind.DAY), *MEASURES], rows, chart, in_print=not period.is_long)


def monthly(days: Table, period: Period) -> list[Table]:
    """What the days come to, if they are many."""
    if not period.is_long:
        return []
    rows = []
    for (currency, month), of_month in groupby(days.rows, lambda one: (str(one[1]), month_of(one[0]))):
        sold = [list(map(as_number, one[2:])) for one in of_month]
        orders, paid, pieces, revenue, refunded, _ = map(sum, zip(*sold, strict=True))
        rows.append(row(month, currency.lower(), Sold(orders, paid, pieces, revenue, refunded)))
    months = len({one[0] for one in rows})
    chart = Chart(f"Net revenue by month, {currency_of(rows)}", NET, months, line=False)
    return [Table("month", [Column("Month", Kind.MONTH), *MEASURES], rows, chart)]


def compared(by: str, now: Sums, before: Sums, name: Callable[[Any], str]) -> Table:
    """What sold best, first; of each how it has changed."""
    heaviest = by_weight(now)
    order = sorted(now, key=lambda one: (heaviest.index(one[1]), -now[one].net, name(one[0])))
    rows = [
        [*row(name(of), currency, now[of, currency]), grown(now[of, currency], before.get((of, currency)))]
        for of, currency in order
    ]
    of_first = sum(currency == heaviest[0] for _, currency in order) if heaviest else 0
    chart = Chart(f"Net revenue by {by}, {currency_of(rows)}", NET, min(of_first, 12), line=False)
    return Table(by, [Column(by.capitalize(), Kind.TEXT), *MEASURES, CHANGE], rows, chart if rows else None)


def facts(now: dict[str, Sold], before: dict[str, Sold]) -> list[Fact]:
    found = []
    for currency in sorted(now, key=lambda one: -now[one].orders) or ["eur"]:
        sold, sold_before = now.get(currency, Sold()), before.get(currency, Sold())
        average, average_before = (one.revenue // one.paid if one.paid else 0 for one in (sold, sold_before))
        found += [
            Fact("Net revenue", Kind.MONEY, Money(sold.net, currency), grown(sold, sold_before)),
            Fact("Orders", Kind.NUMBER, sold.orders, change(sold.orders, sold_before.orders)),
            Fact("Average paid order", Kind.MONEY, Money(average, currency), change(average, average_before)),
            Fact("Refunded", Kind.MONEY, Money(sold.refunded, currency), change(sold.refunded, sold_before.refunded)),
        ]
    return found


# --- asking the database ---


def orders_of(period: Period, owner: Any) -> QuerySet[Order]:
    return period.of(Order.objects.all(), "created_at", owner)


def sums(period: Period, owner: Any, of: Any) -> Sums:
    paid, refunded = Q(paid_at__isnull=False), Q(refunded_at__isnull=False)
    found = (
        orders_of(period, owner)
        .order_by()
        .annotate(of=of)
        .values_list("of", "currency")
        .annotate(
            orders=Count("pk"),
            paid=Count("pk", filter=paid),
            pieces=Sum("quantity", filter=paid, default=0),
            revenue=Sum("amount", filter=paid, default=0),
            returned=Sum("amount", filter=refunded, default=0),
        )
    )
    return {(one, currency): Sold(*measures) for one, currency, *measures in found}


def total(found: Sums) -> dict[str, Sold]:
    totals: dict[str, Sold] = {}
    for (_, currency), sold in found.items():
        totals[currency] = totals.get(currency, Sold()) + sold
    return totals


# --- rows ---


def row(of: str | date, currency: str, sold: Sold) -> list[Any]:
    amounts = [Money(amount, currency) for amount in (sold.revenue, sold.refunded, sold.net)]
    return [of, currency.upper(), sold.orders, sold.paid, sold.pieces, *amounts]


def by_weight(found: Sums) -> list[str]:
    """The currencies, that of most orders first."""
    totals = total(found)
    return sorted(totals, key=lambda currency: (-totals[currency].orders, currency))


def grown(now: Sold, before: Sold | None) -> float | None:
    return change(now.net, before.net) if before else None


def in_words(country: str) -> str:
    return countries.NAMES.get(country, country) or "Not said"


def month_of(day: Any) -> date:
    return day.replace(day=1)


def as_number(cell: Any) -> int:
    return cell.amount if isinstance(cell, Money) else cell


def currency_of(rows: Iterable[Any]) -> str:
    return next((str(one[1]) for one in rows), "")
