"""A shop that has sold something. Our own modules are imported late: pytest reads this before Django is set up."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

LAST = date(2026, 6, 28)


@pytest.fixture
def buyer(db: None) -> Any:
    from accounts.models import User

    return User.objects.create_user("buyer@example.com")


@pytest.fixture
def staff(db: None) -> Any:
    from accounts.models import User

    return User.objects.create_user("staff@example.com", is_staff=True)


@pytest.fixture
def sell(buyer: Any) -> Any:
    """Sell something at a moment: `sell("2026-06-01 23:59", amount=500)`."""
    from uuid import uuid4

    from orders.models import Order, Product

    def sold(moment: str, product: str = "Night lamp", owner: Any = None, paid: bool = True, **facts: Any) -> Order:
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        thing, _ = Product.objects.get_or_create(name=product, defaults={"price": 100})
        usual = {"quantity": 1, "amount": 100, "currency": "eur", "country": "DE", "payment_method": "pm_card_visa"}
        money = {"paid_at": at, "charge_id": f"ch_{uuid4()}"} if paid else {"declined_at": at}
        order = Order.objects.create(owner=owner or buyer, product=thing, **{**usual, **money, **facts})
        Order.objects.filter(pk=order.pk).update(created_at=at)
        return Order.objects.get(pk=order.pk)

    return sold


@pytest.fixture
def year(db: None) -> None:
    """A year of seeded orders."""
    from django.core.management import call_command

    call_command("seed", users=50, orders=4000, until=LAST, verbosity=0)
