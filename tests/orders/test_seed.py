"""Seeded orders: plausible, the same for the same seed, and of no interest to the nightly comparison."""

from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count
from django.utils import timezone

from orders.models import Order, Payment, Product

pytestmark = pytest.mark.django_db

LAST = date(2026, 6, 28)  # a Sunday


@pytest.fixture
def year(capsys):
    call_command("seed", users=50, orders=4000, until=LAST)
    assert "50 users and 4,000 orders" in capsys.readouterr().out
    return Order.objects.select_related("job")


def test_a_year_looks_like_one(year):
    assert year.count() == 4000
    days = year.values("created_at__date").annotate(number=Count("pk"))
    assert len(days) == 365
    assert max(day["created_at__date"] for day in days) == LAST
    by_weekday = dict(year.values_list("created_at__week_day").annotate(number=Count("pk")))
    assert by_weekday[7] > 1.2 * by_weekday[2], "more on Saturdays than on Mondays"
    later, earlier = (year.filter(created_at__date__gt=LAST - timedelta(days=182 * half)).count() for half in (1, 2))
    assert later > 1.1 * (earlier - later), "the shop grows"
    payments = [order.payment for order in year]
    assert set(payments) == {Payment.PAID, Payment.DECLINED, Payment.REFUNDED}
    assert payments.count(Payment.PAID) > 0.9 * 4000
    assert len(set(year.values_list("country", flat=True))) > 8
    assert set(year.values_list("product", flat=True)) == set(Product.objects.values_list("pk", flat=True))
    assert all(order.amount == order.product.price * order.quantity for order in year.select_related("product")[:50])


def test_the_same_seed_makes_the_same_orders(year):
    before = list(year.order_by("pk").values_list("pk", "created_at", "quantity", "country", "charge_id")[:20])
    year.delete()
    call_command("seed", users=50, orders=4000, until=LAST, verbosity=0)
    assert before == list(year.order_by("pk").values_list("pk", "created_at", "quantity", "country", "charge_id")[:20])


def test_seeding_twice_says_what_to_do(year):
    with pytest.raises(CommandError, match="--seed 2"):
        call_command("seed", users=50, orders=4000, until=LAST)
    call_command("seed", users=50, orders=10, seed=2, until=LAST, verbosity=0)
    assert Order.objects.count() == 4010


def test_by_default_they_end_before_what_is_reconciled(settings, db):
    call_command("seed", users=5, orders=400, verbosity=0)
    assert Order.objects.exclude(paid_at=None).latest(
        "paid_at"
    ).paid_at < timezone.now() - settings.RECONCILED - timedelta(hours=1)


def test_the_shelves_alone(db):
    for _ in range(2):
        call_command("seed", verbosity=0)
    assert Product.objects.count() == 6
    assert not Order.objects.exists()
