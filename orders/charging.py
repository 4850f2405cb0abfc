"""Taking the money for an order exactly once.

The gateway repeats its first answer for as long as it keeps the key, so within that time a lost answer is simply asked
for again. Afterwards the same request would be a new one and could charge twice: then it is never sent again, and what
is not known by then is for a person to find out.
"""

from django.conf import settings
from django.utils import timezone

from orders import outcomes, payments
from orders.models import Order
from orders.payments import AnswerLost, Charge, Declined


class Unknown(Exception):
    """We could not find out whether your card was charged. We are looking into it. You will not be charged twice."""


def charge(order: Order) -> Charge:
    """The charge of an order that is not paid yet.

    Raises Declined and Unknown, which are final, and what `payments.charge()` raises when it is to be asked again.
    """
    if order.declined_at:
        raise Declined(order.decline_reason)
    if order.asked_at is None:
        outcomes.asked(order)
    if order.unknown_since or key_is_over(order):
        return look_once_more(order)
    try:
        return payments.charge(order)
    except Declined as refusal:
        outcomes.declined(order, str(refusal))
        raise
    except AnswerLost:
        # The gateway may repeat "500" for as long as it keeps the key, and still have charged: so look at the charges.
        if found := look(order):
            return found
        raise


def key_is_over(order: Order) -> bool:
    assert order.asked_at
    return timezone.now() - order.asked_at > settings.PAYMENT_KEY_LIFE


def look_once_more(order: Order) -> Charge:
    """What the gateway knows of an order that may not be charged any more. Raises Declined, Unknown."""
    if found := look(order):
        return found
    outcomes.unknown(order)
    raise Unknown(Unknown.__doc__)


def look(order: Order) -> Charge | None:
    """The order's charge, if the gateway shows one. None proves nothing. Raises Declined if it shows a refusal only."""
    found = payments.charges_of(order)
    if charged := next((one for one in found if one.succeeded), None):
        return charged
    if found:
        outcomes.declined(order, found[0].reason)
        raise Declined(found[0].reason)
    return None
