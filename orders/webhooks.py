"""What the gateway announces: signed, at least once, in any order, and now and then before it has answered us."""

from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from jobs.models import Job, State
from orders import outcomes, payments
from orders.models import Order, PaymentEvent
from orders.payments import Charge


@csrf_exempt  # it is the signature that proves who sent it
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """Any answer but 2xx has the gateway send it again, as when this transaction fails."""
    try:
        event = payments.verified(request.body, request.headers.get("Stripe-Signature", ""))
    except payments.Forged as forged:
        return HttpResponse(str(forged), status=400, content_type="text/plain")
    with transaction.atomic():
        _, news = PaymentEvent.objects.get_or_create(pk=event["id"], defaults={"type": event["type"]})
        if news:
            learn(event)
    return HttpResponse(status=200)


def learn(event: Any) -> None:
    """Take from an event what it says of an order of ours. All else is none of our business."""
    kind, about = event["type"], event["data"]["object"]
    if kind == "payment_intent.succeeded":
        charge = Charge.read_intent(about)
        if (order := order_of(charge)) and outcomes.paid(order, charge):
            spare_waiting(order)
    elif kind == "payment_intent.payment_failed":
        charge = Charge.read_intent(about)
        if (order := order_of(charge)) and outcomes.declined(order, charge.reason):
            spare_waiting(order)
    elif kind == "charge.refunded":
        charge = Charge.read(about)
        if (order := order_of(charge)) and charge.refunded == charge.amount:
            outcomes.refunded(order, payments.moment(event["created"]))


def order_of(charge: Charge) -> Order | None:
    if charge.order_id is None:
        return None
    return Order.objects.select_related("owner", "product").filter(pk=charge.order_id).first()


def spare_waiting(order: Order) -> None:
    """Its job may be waiting to ask again. There is no need to: it can finish at once."""
    Job.objects.filter(order=order.pk, state=State.RETRYING).change(run_at=Now())
