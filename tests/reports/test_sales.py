"""What a sales report says, against what a person would count by hand."""

from datetime import UTC, date, datetime, timedelta

import pytest

from accounts.models import User
from orders.models import Order
from reports import kinds
from reports.figures import Money
from reports.period import Period
from tests.reports.conftest import LAST

pytestmark = pytest.mark.django_db

JUNE = Period(date(2026, 6, 1), date(2026, 6, 28))


def table(by: str, period: Period = JUNE, owner: User | None = None):
    return next(one for one in kinds.figures("sales", period, owner).tables if one.by == by)


def rows(by: str, period: Period = JUNE, owner: User | None = None) -> list[list]:
    return table(by, period, owner).rows


def test_days_begin_and_end_in_utc(sell):
    sell("2026-06-01 00:00", amount=1)
    sell("2026-06-01 23:59:59", amount=2)
    sell("2026-06-02 00:00", amount=4)
    sell("2026-05-31 23:59:59", amount=8)
    sell("2026-06-29 00:00", amount=16)
    found = {row[0]: row[-1].amount for row in rows("day")}
    assert len(found) == 28, "each day has its row, also one without orders"
    assert {day: net for day, net in found.items() if net} == {date(2026, 6, 1): 3, date(2026, 6, 2): 4}


def test_only_what_is_paid_is_revenue_and_what_was_refunded_is_not_net(sell):
    at = datetime(2026, 6, 20, tzinfo=UTC)
    sell("2026-06-10", amount=1000, quantity=3)
    sell("2026-06-10", amount=500, refunded_at=at)
    sell("2026-06-10", amount=7000, paid=False)
    [row] = rows("country")
    eur = [Money(amount, "eur") for amount in (1500, 500, 1000)]
    assert row == ["Germany", "EUR", 3, 2, 4, *eur, None]


def test_currencies_are_not_added_up(sell):
    sell("2026-06-10", amount=1000)
    sell("2026-06-11", amount=1000)
    sell("2026-06-11", amount=1000, currency="jpy")
    assert [row[1] for row in rows("product")] == ["EUR", "JPY"]
    assert [str(row[-2]) for row in rows("product")] == ["20.00 EUR", "1,000 JPY"]
    assert table("product").chart.rows == 1, "a chart is of one currency"
    facts = kinds.figures("sales", JUNE, None).facts
    assert [str(fact.value) for fact in facts if fact.name == "Net revenue"] == ["20.00 EUR", "1,000 JPY"]


def test_changes_are_to_as_many_days_before(sell):
    sell("2026-05-10", amount=400)
    sell("2026-05-03", amount=9999)
    sell("2026-06-10", amount=500)
    [row] = rows("product")
    assert row[-1] == pytest.approx(0.25)
    net = kinds.figures("sales", JUNE, None).facts[0]
    assert (net.value, net.change) == (Money(500, "eur"), pytest.approx(0.25))


def test_what_was_not_sold_before_has_no_change(sell):
    sell("2026-06-10")
    assert rows("product")[0][-1] is None
    assert kinds.figures("sales", JUNE, None).facts[0].change is None


def test_all_tables_come_to_the_same_as_the_orders(year):
    period = Period(LAST - timedelta(days=364), LAST)
    since, until = period.moments
    orders = Order.objects.filter(created_at__gte=since, created_at__lt=until)
    paid = sum(order.amount for order in orders if order.paid_at)
    refunded = sum(order.amount for order in orders if order.refunded_at)
    tables = kinds.figures("sales", period, None).tables
    assert [one.by for one in tables] == ["month", "day", "product", "country"]
    for one in tables:
        assert sum(row[2] for row in one.rows) == orders.count() == 4000, one.by
        assert sum(row[5].amount for row in one.rows) == paid, one.by
        assert sum(row[7].amount for row in one.rows) == paid - refunded, one.by


def test_somebody_who_is_not_staff_sees_their_own_orders_alone(sell, buyer, staff):
    sell("2026-06-10", amount=100)
    sell("2026-06-10", amount=900, owner=staff)
    assert rows("country", owner=buyer)[0][-2] == Money(100, "eur")
    assert rows("country")[0][-2] == Money(1000, "eur")


def test_nothing_sold_is_a_report_too(db):
    figures = kinds.figures("sales", JUNE, None)
    assert figures.facts[0].value == Money(0, "eur")
    assert len(figures.tables[0].rows) == 28
