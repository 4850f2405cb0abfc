"""What staff may do about the money of an order. Each returns, in words for them, what came of it."""

from typing import Any

from django.db import transaction

from jobs.models import Job
from orders import charging, outcomes
from orders.models import Order, Payment
from orders.payments import AnswerLost, Busy, Declined, Rejected
from orders.tasks import refund_order

NOT_PAID = "The payment did not go through, and nothing was charged."


def refund(order: Order, by: Any) -> str:
    """Have all the money given back. Asked for again, it is the same job, run anew if it had come to nothing."""
    if order.payment != Payment.PAID:
        return f"This order is {order.payment}. Only one that is paid can be refunded."
    with transaction.atomic():
        job = refund_order.enqueue(order_id=str(order.pk), owner=by, key=f"refund-order-{order.pk}")
        Job.objects.filter(pk=job.pk).requeue()
    return "A job refunds it."


def look(order: Order) -> str:
    """Ask the gateway what it knows. Whatever it shows is believed; nothing is charged."""
    if order.payment not in (Payment.UNKNOWN, Payment.PENDING, Payment.CANCELLED):
        return f"This order is {order.payment}."
    return learned(order) or "The gateway shows no charge. Look again in a few minutes, or at the gateway's own pages."


def not_paid(order: Order) -> str:
    """Close an order of which nobody knows more, as a person has made sure that nothing was charged."""
    if order.payment not in (Payment.UNKNOWN, Payment.CANCELLED):
        return f"This order is {order.payment}. Only one whose payment is unknown can be settled."
    if said := learned(order):
        return said
    outcomes.declined(order, NOT_PAID)
    return "It is settled as not paid. Should the gateway tell of a charge after all, it will be paid."


def learned(order: Order) -> str:
    """What is known of the order now that was not before. Empty: nothing is."""
    try:
        charge = charging.look(order)
    except Declined as refusal:
        return f"It was declined: {refusal}"
    except (AnswerLost, Busy, Rejected) as error:
        return f"The gateway cannot be asked right now. {error}"
    if charge is None:
        return ""
    outcomes.paid(order, charge)
    return f"It is paid, by {charge.id}."
