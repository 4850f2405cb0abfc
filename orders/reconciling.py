"""Comparing our orders with the gateway's charges, whatever either believes of the other."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from django.contrib.auth import get_user_model
from django.urls import reverse

from mail.tasks import send_message
from orders import payments
from orders.models import Difference, Order, Reconciliation
from orders.money import in_words
from orders.payments import Charge

Kind = Difference.Kind

IN_FLIGHT = timedelta(hours=1)  # what is younger may still be on its way to us
SLACK = timedelta(minutes=5)  # between the gateway's moment of the charge and of the payment
BATCH = 1000
IN_THE_MAIL = 20  # differences, at most


@dataclass
class Compared:
    since: datetime
    until: datetime
    charges: int = 0
    orders: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare(since: datetime, until: datetime, on_progress: Callable[[None, str], object]) -> Compared:
    """Look at all charges made in that time, at all orders paid in it by what we know, and at those nobody knows of."""
    compared = Compared(since, until)
    charged: set[str] = set()  # the charges that have been seen
    for batch in in_batches(payments.charges_since(since, until)):
        succeeded = [charge for charge in batch if charge.succeeded]
        charged.update(charge.id for charge in succeeded)
        compared.charges += len(succeeded)
        compared.differences += look_at_charges(succeeded)
        on_progress(None, f"{compared.charges} charges looked at")
    paid = Order.objects.filter(paid_at__gte=since + SLACK, paid_at__lt=until - SLACK)
    for order in paid.order_by().iterator(chunk_size=BATCH):
        compared.orders += 1
        if order.charge_id not in charged:
            compared.differences.append(difference(Kind.NOT_CHARGED, order, f"The gateway has no {order.charge_id}."))
    for order in Order.objects.unknown():
        compared.differences.append(difference(Kind.UNKNOWN, order, "Its job has ended without an answer."))
    return compared


def look_at_charges(charges: list[Charge]) -> Iterator[Difference]:
    orders = Order.objects.in_bulk([charge.order_id for charge in charges if charge.order_id])
    for charge in charges:
        order = orders.get(charge.order_id)
        if order is None or order.paid_at is None:
            yield difference(Kind.NOT_PAID, order, f"{charge.id} took {money(charge)}.", charge)
        elif order.charge_id != charge.id:
            yield difference(Kind.CHARGED_TWICE, order, f"Paid by {order.charge_id}, and charged again by {charge.id}.")
        else:
            yield from look_at_amounts(order, charge)


def look_at_amounts(order: Order, charge: Charge) -> Iterator[Difference]:
    if (charge.amount, charge.currency) != (order.amount, order.currency):
        details = f"{in_words(order.amount, order.currency)} here, {money(charge)} there."
        yield difference(Kind.AMOUNT, order, details)
    if bool(order.refunded_at) != (charge.refunded > 0):
        there = in_words(charge.refunded, charge.currency)
        yield difference(Kind.REFUND, order, f"{'Refunded' if order.refunded_at else 'Kept'} here, {there} there.")


def difference(kind: Difference.Kind, order: Order | None, details: str, charge: Charge | None = None) -> Difference:
    reference = str(order.pk) if order else charge.id if charge else ""
    return Difference(kind=kind, order=order, reference=reference, details=details)


def write_down(compared: Compared) -> Reconciliation:
    """Keep what was found. Each difference is kept and reported once, however many nights find it."""
    run = Reconciliation.objects.create(
        since=compared.since, until=compared.until, charges=compared.charges, orders=compared.orders
    )
    found = {(one.kind, one.reference): one for one in compared.differences}
    for known in Difference.objects.filter(reference__in=[one.reference for one in found.values()]):
        found.pop((known.kind, known.reference), None)
    for one in found.values():
        one.found_in = run
    Difference.objects.bulk_create(found.values(), batch_size=BATCH)
    if found:
        report(run, list(found.values()))
    return run


def report(run: Reconciliation, differences: list[Difference]) -> None:
    page = reverse("admin:orders_difference_changelist")
    for person in get_user_model().objects.filter(is_staff=True, is_active=True):
        send_message.enqueue(
            template="orders/messages/differences",
            to=person.email,
            context={
                "number": len(differences),
                "first": [str(one) for one in differences[:IN_THE_MAIL]],
                "more": max(0, len(differences) - IN_THE_MAIL),
                "path": page,
            },
            owner=person,
            key=f"differences:{run.pk}:{person.pk}",
        )


def in_batches(charges: Iterable[Charge]) -> Iterator[list[Charge]]:
    charges = iter(charges)
    while batch := list(islice(charges, BATCH)):
        yield batch


def money(charge: Charge) -> str:
    return in_words(charge.amount, charge.currency)
