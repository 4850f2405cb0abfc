"""The payment gateway: Stripe, by its official SDK, or whatever speaks as Stripe does at `STRIPE_API_BASE`.

Every request that moves money carries a key that is the same each time it is sent, so it may be sent again when its
answer was lost. The SDK's own retries are off: a job retries, and its attempts are on record.

The SDK is imported where it is used. It takes half a second and 20 MB, and most processes never ask the gateway.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

from django.conf import settings

from orders.models import Order

if TYPE_CHECKING:
    import stripe

CONNECTING = 3.0  # seconds
PAGE = 100  # the most that Stripe lists at once


class Declined(Exception):
    """The card was declined. The message is the bank's, for the owner of the card."""


class Busy(Exception):
    """The gateway has not looked at the request, and takes it again after `retry_after`."""

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AnswerLost(Exception):
    """The request may have been executed or not: no answer came, or the answer was that the gateway broke."""


class Rejected(Exception):
    """The gateway does not take such a request: our mistake, or that of our settings. Nothing was executed."""


class Forged(Exception):
    """This event does not come from the gateway."""


class Charge(NamedTuple):
    """What the gateway knows of an attempt to take money."""

    id: str
    order_id: UUID | None  # None: it was not made for an order of ours
    amount: int
    currency: str
    succeeded: bool
    reason: str  # why it has not succeeded
    refunded: int
    created_at: datetime

    @classmethod
    def read(cls, charge: Any) -> Self:
        return cls(
            id=charge["id"],
            order_id=_order_id(charge["metadata"]),
            amount=charge["amount"],
            currency=charge["currency"],
            succeeded=charge["status"] == "succeeded",
            reason=_get(charge, "failure_message") or "",
            refunded=charge["amount_refunded"],
            created_at=moment(charge["created"]),
        )

    @classmethod
    def read_intent(cls, intent: Any) -> Self:
        """From Stripe's account of the payment as a whole, which names its latest charge."""
        error = _get(intent, "last_payment_error")
        return cls(
            id=intent["latest_charge"],
            order_id=_order_id(intent["metadata"]),
            amount=intent["amount"],
            currency=intent["currency"],
            succeeded=intent["status"] == "succeeded",
            reason=_get(error, "message") or "" if error else "",
            refunded=0,
            created_at=moment(intent["created"]),
        )


def charge(order: Order) -> Charge:
    """Take the money for an order, however often this is called within the life of its key.

    Raises Declined, Busy, AnswerLost, Rejected.
    """
    with errors():
        intent = client().v1.payment_intents.create(
            {
                "amount": order.amount,
                "currency": order.currency,
                "payment_method": order.payment_method,
                "allowed_payment_method_types": ["card"],
                "confirm": True,
                "error_on_requires_action": True,  # nobody is there who could confirm it with their bank
                "metadata": {"order": str(order.pk)},
            },
            {"idempotency_key": f"charge-order-{order.pk}"},
        )
    charged = Charge.read_intent(intent)
    if not charged.succeeded:
        raise AnswerLost(f"The payment {intent['id']} is {intent['status']}.")
    return charged


def refund(order: Order) -> datetime:
    """Give all the money back, and return when that was.

    That can be done only once, whatever becomes of the key. Raises Busy, AnswerLost, Rejected.
    """
    assert order.charge_id
    try:
        with errors():
            made = client().v1.refunds.create(
                {"charge": order.charge_id, "metadata": {"order": str(order.pk)}},
                {"idempotency_key": f"refund-order-{order.pk}"},
            )
        return moment(made["created"])
    except (AnswerLost, Rejected):
        if not is_refunded(order.charge_id):
            raise
        return datetime.now(UTC)


def is_refunded(charge_id: str) -> bool:
    with errors():
        return bool(client().v1.charges.retrieve(charge_id)["refunded"])


def charges_of(order: Order) -> list[Charge]:
    """All that the gateway finds for this order. What it does not find may exist: a search lags behind by a minute."""
    with errors():
        found = client().v1.charges.search({"query": f"metadata['order']:'{order.pk}'", "limit": PAGE})
        return [Charge.read(one) for one in found.auto_paging_iter()]


def charges_since(since: datetime, until: datetime) -> Iterator[Charge]:
    """All charges made in that time, the latest first."""
    with errors():
        listed = client().v1.charges.list(
            {"created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())}, "limit": PAGE}
        )
        for one in listed.auto_paging_iter():
            yield Charge.read(one)


def verified(body: bytes, signature: str) -> Any:
    """The event of a webhook's request. Raises Forged."""
    import stripe

    if not settings.STRIPE_WEBHOOK_SECRET:
        raise Forged("There is no STRIPE_WEBHOOK_SECRET, so nothing can be verified.")
    try:
        return client().construct_event(body, signature, settings.STRIPE_WEBHOOK_SECRET)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise Forged("The signature does not fit.") from error


@cache
def client() -> "stripe.StripeClient":
    import stripe

    return stripe.StripeClient(
        settings.STRIPE_API_KEY,
        base_addresses={"api": settings.STRIPE_API_BASE},
        http_client=stripe.RequestsClient(timeout=(CONNECTING, settings.PAYMENT_TIMEOUT)),
        max_network_retries=0,
    )


@contextmanager
def errors() -> Iterator[None]:
    """Says in our words what went wrong, by what it means for the money.

    As Stripe explains its answers in https://docs.stripe.com/error-low-level: a 402 is final; 429 and 409 come before
    the execution; a 500 is to be treated as indeterminate, as no answer is.
    """
    import stripe

    try:
        yield
    except stripe.CardError as error:
        raise Declined(error.user_message or "The card was declined.") from error
    except stripe.InvalidRequestError as error:
        if error.param == "payment_method":
            raise Declined("This card is not known to the payment service.") from error
        raise Rejected(str(error)) from error
    except (stripe.AuthenticationError, stripe.PermissionError, stripe.IdempotencyError) as error:
        raise Rejected(str(error)) from error
    except stripe.StripeError as error:
        if error.http_status in (409, 429):
            raise Busy(str(error), retry_after=_retry_after(error)) from error
        raise AnswerLost(str(error)) from error


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _retry_after(error: "stripe.StripeError") -> timedelta:
    asked = {name.lower(): value for name, value in (error.headers or {}).items()}.get("retry-after", "")
    return timedelta(seconds=int(asked) if asked.isdigit() else 1)


def _order_id(metadata: Any) -> UUID | None:
    try:
        return UUID(_get(metadata, "order"))
    except (TypeError, ValueError):
        return None


def _get(described: Any, name: str) -> Any:
    """A field that Stripe may leave out. Its objects are no dicts, and have no `get()`."""
    return described[name] if name in described else None  # noqa: SIM401
