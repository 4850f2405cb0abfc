"""What has become of an order's money.

The job that charges, the gateway's webhook and a person may learn it, in any order and at once. So each fact is one
conditional UPDATE, whose row count says who was first; and who was first sends the mail, in the same transaction.
"""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from jobs.durability import wait_for_disk
from mail.tasks import send_message
from orders.models import Order
from orders.money import in_words
from orders.payments import Charge

logger = logging.getLogger(__name__)


def asked(order: Order) -> None:
    """The gateway is about to be asked for the first time: the life of the key begins. Kept before it is asked."""
    with transaction.atomic():
        wait_for_disk()
        Order.objects.filter(pk=order.pk, asked_at=None).update(asked_at=Now())
    order.refresh_from_db(fields=["asked_at"])


def paid(order: Order, charge: Charge) -> bool:
    """The gateway has taken the money, whatever was thought before. Returns whether that was news."""
    with transaction.atomic():
        unpaid = Order.objects.filter(pk=order.pk, paid_at=None)
        news = unpaid.update(paid_at=charge.created_at, charge_id=charge.id, declined_at=None, decline_reason="")
        if news:
            send(order, "receipt")
        elif not Order.objects.filter(pk=order.pk, charge_id=charge.id).exists():
            logger.error("Order %s was charged twice: %s came second", order, charge.id)
    return bool(news)


def declined(order: Order, reason: str) -> bool:
    open_ = Order.objects.filter(pk=order.pk, paid_at=None, declined_at=None)
    return bool(open_.update(declined_at=Now(), decline_reason=reason[:500]))


def unknown(order: Order) -> bool:
    """Nobody can find out any more by asking the gateway again. It is for a person now."""
    open_ = Order.objects.filter(pk=order.pk, paid_at=None, declined_at=None, unknown_since=None)
    return bool(open_.update(unknown_since=Now()))


def refunded(order: Order, at: datetime) -> bool:
    with transaction.atomic():
        kept = Order.objects.filter(pk=order.pk, paid_at__isnull=False, refunded_at=None)
        news = kept.update(refunded_at=at)
        if news:
            send(order, "refund")
    return bool(news)


def send(order: Order, what: str) -> None:
    """One mail to the owner, in the transaction that makes it true."""
    send_message.enqueue(
        template=f"orders/messages/{what}",
        to=order.owner.email,
        context={
            "product": order.product.name,
            "quantity": order.quantity,
            "amount": in_words(order.amount, order.currency),
            "order": str(order.pk),
            "path": order.get_absolute_url(),
        },
        owner=order.owner,
        key=f"{what}:{order.pk}",
    )
