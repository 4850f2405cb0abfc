"""Placing an order: it and its job exist together or not at all."""

import uuid
from typing import Any

from django.db import transaction

from orders import countries
from orders.models import LARGEST_AMOUNT, Order, Product
from orders.money import in_words
from orders.tasks import charge_order

MOST = 99  # of one product in one order


class Refused(Exception):
    """This cannot be ordered. The message says why."""


def place(
    owner: Any, product: Product, quantity: int, payment_method: str, *, country: str = "", pk: uuid.UUID | None = None
) -> Order:
    """Place an order, and have it charged. Raises Refused.

    A page may name the order beforehand with `pk`. Sent twice it is then one order, and the first is returned.
    """
    if not 0 < quantity <= MOST:
        raise Refused(f"Order between 1 and {MOST} of one product.")
    if country and country not in countries.NAMES:
        raise Refused("We do not deliver to that country. Order to one of the European Union.")
    amount = product.price * quantity
    if amount > LARGEST_AMOUNT:
        raise Refused(f"One order may come to {in_words(LARGEST_AMOUNT, product.currency)} at most.")
    order = Order(
        pk=pk or uuid.uuid4(),
        owner=owner,
        product=product,
        quantity=quantity,
        amount=amount,
        currency=product.currency,
        country=country,
        payment_method=payment_method,
    )
    with transaction.atomic():
        order.job = charge_order.enqueue(order_id=str(order.pk), owner=owner, key=str(order.pk))
        placed = Order.objects.filter(pk=order.pk).first()  # another request waits in `enqueue()` until it is there
        if placed is None:
            order.save(force_insert=True)
        elif placed.owner_id != owner.pk:
            raise Refused("Go back to the shop, and order from there.")
    return placed or order
