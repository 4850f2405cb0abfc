"""Payment intents, charges and refunds: what becomes of a request once it is executed.

The fields and the errors are those of Stripe's API reference, as far as our side looks at them.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from sandbox.ledger import Answer, Ledger, Object

Parameters = dict[str, str]  # as posted: nested ones are called `metadata[order]`


class Refusal(NamedTuple):
    code: str
    decline_code: str
    message: str


# Stripe's own test cards, and what becomes of them: https://docs.stripe.com/testing
CARDS: dict[str, Refusal | None] = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_chargeDeclined": Refusal("card_declined", "generic_decline", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": Refusal(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "pm_card_chargeDeclinedExpiredCard": Refusal("expired_card", "expired_card", "Your card has expired."),
}
DECLINED = CARDS["pm_card_chargeDeclined"]


class Request(NamedTuple):
    """One kind of POST: what is wrong with its parameters, if anything is, and what it does."""

    check: Callable[[Ledger, Parameters], Answer | None]
    execute: Callable[[Ledger, Parameters, bool, int], Answer]  # given: decline it?, how often to announce it


def check_payment(ledger: Ledger, given: Parameters) -> Answer | None:
    if not re.fullmatch(r"[1-9]\d{0,7}", given.get("amount", "")):
        return invalid("Invalid integer: amount.", "amount", "parameter_invalid_integer")
    if not re.fullmatch(r"[a-z]{3}", given.get("currency", "")):
        return invalid("Missing or unknown currency.", "currency", "parameter_missing")
    if given.get("payment_method") not in CARDS:
        return missing("PaymentMethod", given.get("payment_method", ""), "payment_method")
    if given.get("confirm") != "true":
        return invalid("The sandbox only makes payments that are confirmed at once.", "confirm", "parameter_missing")
    return None


def make_payment(ledger: Ledger, given: Parameters, decline: bool, times: int) -> Answer:
    refusal = CARDS[given["payment_method"]] or (DECLINED if decline else None)
    amount = int(given["amount"])
    shared = {"amount": amount, "currency": given["currency"], "metadata": metadata(given)}
    charge = ledger.add(
        "charge",
        "ch",
        **shared,
        status="failed" if refusal else "succeeded",
        paid=not refusal,
        amount_refunded=0,
        refunded=False,
        failure_code=refusal and refusal.code,
        failure_message=refusal and refusal.message,
        payment_method=given["payment_method"],
    )
    intent = ledger.add(
        "payment_intent",
        "pi",
        **shared,
        status="requires_payment_method" if refusal else "succeeded",
        amount_received=0 if refusal else amount,
        latest_charge=charge["id"],
        payment_method=None if refusal else given["payment_method"],
        last_payment_error=refusal and {"type": "card_error", "code": refusal.code, "message": refusal.message},
    )
    ledger.save({**charge, "payment_intent": intent["id"]})
    ledger.announce("payment_intent.payment_failed" if refusal else "payment_intent.succeeded", intent, times)
    return declined(refusal, charge, intent) if refusal else Answer(200, intent)


def check_refund(ledger: Ledger, given: Parameters) -> Answer | None:
    charge = ledger.find("charge", given.get("charge", ""))
    if charge is None:
        return missing("charge", given.get("charge", ""), "charge")
    if charge["status"] != "succeeded":
        return invalid(f"Charge {charge['id']} has not succeeded.", "charge", "charge_not_refundable")
    return None


def make_refund(ledger: Ledger, given: Parameters, decline: bool, times: int) -> Answer:
    charge = ledger.find("charge", given["charge"])
    assert charge
    if charge["refunded"]:
        return invalid(f"Charge {charge['id']} has already been refunded.", "charge", "charge_already_refunded")
    refund = ledger.add(
        "refund",
        "re",
        amount=charge["amount"],
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        status="succeeded",
        metadata=metadata(given),
    )
    charge = {**charge, "refunded": True, "amount_refunded": charge["amount"]}
    ledger.save(charge)
    ledger.announce("charge.refunded", charge, times)
    return Answer(200, refund)


REQUESTS = {
    "/v1/payment_intents": Request(check_payment, make_payment),
    "/v1/refunds": Request(check_refund, make_refund),
}


def metadata(given: Parameters) -> dict[str, str]:
    return {name[len("metadata[") : -1]: value for name, value in given.items() if name.startswith("metadata[")}


# --- errors ---


def error(status: int, kind: str, message: str, **more: object) -> Answer:
    return Answer(status, {"error": {"type": kind, "message": message, **more}})


def invalid(message: str, parameter: str, code: str) -> Answer:
    return error(400, "invalid_request_error", message, param=parameter, code=code)


def missing(what: str, pk: str, parameter: str) -> Answer:
    status = 404 if parameter == "id" else 400
    message = f"No such {what}: '{pk}'"
    return error(status, "invalid_request_error", message, param=parameter, code="resource_missing")


def declined(refusal: Refusal, charge: Object, intent: Object) -> Answer:
    more = {"code": refusal.code, "decline_code": refusal.decline_code}
    return error(402, "card_error", refusal.message, **more, charge=charge["id"], payment_intent=intent)
