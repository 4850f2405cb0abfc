"""What the gateway announces is believed once, and only if it comes from the gateway."""

import json
import time
from uuid import uuid4

import pytest
from stripe import WebhookSignature

from jobs.models import Job, State
from orders.models import Order, Payment, PaymentEvent
from tests.orders.attempts import now, receipts, run

pytestmark = pytest.mark.django_db

SECRET = "whsec_sandbox"


@pytest.fixture
def tell(client):
    """Post an event as the gateway does, or nearly."""

    def tell(kind, about, *, event_id=None, secret=SECRET, at=None, spoil=None):
        event = {"id": event_id or f"evt_{uuid4()}", "object": "event", "type": kind, "created": int(time.time())}
        body = json.dumps({**event, "data": {"object": about}})
        signature = WebhookSignature.generate_signature_header(body, secret, at)
        return client.post(
            "/webhooks/payments",
            spoil(body) if spoil else body,
            content_type="application/json",
            headers={"Stripe-Signature": signature},
        )

    return tell


def intent(order: Order, **changes: object) -> dict:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": order.amount,
        "currency": order.currency,
        "status": "succeeded",
        "latest_charge": f"ch_{order.pk}",
        "created": int(time.time()),
        "metadata": {"order": str(order.pk)},
        "last_payment_error": None,
        **changes,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "whsec_of_somebody_else"},
        {"at": int(time.time()) - 3600},
        {"spoil": lambda body: body.replace("pi_1", "pi_2")},
        {"spoil": lambda body: "no JSON"},
    ],
    ids=["another secret", "an old one", "changed on the way", "no JSON"],
)
def test_what_is_not_signed_by_the_gateway_is_refused(tell, order, wrong):
    assert tell("payment_intent.succeeded", intent(order), **wrong).status_code == 400
    assert now(order).payment == Payment.PENDING
    assert not PaymentEvent.objects.exists()


def test_so_is_what_is_not_signed_at_all_or_sent_otherwise(client):
    assert client.post("/webhooks/payments", "{}", content_type="application/json").status_code == 400
    assert client.get("/webhooks/payments").status_code == 405


def test_without_a_secret_nothing_is_believed(tell, order, settings):
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert tell("payment_intent.succeeded", intent(order), secret="").status_code == 400


def test_an_event_told_three_times_has_its_effect_once(tell, order):
    for _ in range(3):
        assert tell("payment_intent.succeeded", intent(order), event_id="evt_1").status_code == 200
    assert now(order).payment == Payment.PAID
    assert receipts(order) == PaymentEvent.objects.count() == 1


def test_an_event_before_the_answer_pays_the_order_and_the_job_finds_it_paid(tell, order, gateway):
    tell("payment_intent.succeeded", intent(order))
    assert run(order.job).state == State.SUCCEEDED
    assert (receipts(order), gateway.charged(order.pk)) == (1, 0)


def test_an_event_after_the_answer_changes_nothing(tell, order, gateway):
    run(order.job)
    before = now(order)
    tell("payment_intent.succeeded", intent(order, latest_charge=before.charge_id))
    assert (now(order).paid_at, receipts(order)) == (before.paid_at, 1)


def test_a_job_that_waits_to_ask_again_need_not_wait_any_more(tell, order, gateway):
    gateway.faults("error_during")
    job = run(order.job)
    Job.objects.filter(pk=job.pk).update(run_at="2100-01-01T00:00:00Z")
    tell("payment_intent.succeeded", intent(order))
    assert Job.objects.due().filter(pk=job.pk).exists()
    work_done = run(job)
    assert (work_done.state, receipts(order)) == (State.SUCCEEDED, 1)


def test_a_refusal_is_believed_too(tell, order, gateway):
    refused = {"code": "card_declined", "message": "Your card was declined."}
    about = intent(order, status="requires_payment_method", last_payment_error=refused)
    tell("payment_intent.payment_failed", about)
    job = run(order.job)
    assert (now(order).payment, job.error["message"]) == (Payment.DECLINED, "Your card was declined.")
    assert gateway.charged(order.pk) == 0


def test_a_refusal_that_comes_late_does_not_undo_a_payment(tell, order):
    tell("payment_intent.succeeded", intent(order))
    tell("payment_intent.payment_failed", intent(order, status="requires_payment_method"))
    assert now(order).payment == Payment.PAID


def test_a_refund_made_at_the_gateway_is_learned(tell, order):
    tell("payment_intent.succeeded", intent(order))
    charge = {
        "id": f"ch_{order.pk}",
        "amount": order.amount,
        "currency": "eur",
        "status": "succeeded",
        "amount_refunded": order.amount,
        "created": int(time.time()),
        "metadata": {"order": str(order.pk)},
    }
    for _ in range(2):
        tell("charge.refunded", charge)
    assert now(order).payment == Payment.REFUNDED
    assert Job.objects.filter(key=f"refund:{order.pk}").count() == 1


@pytest.mark.parametrize("metadata", [{}, {"order": "of another shop"}, {"order": str(uuid4())}])
def test_what_is_none_of_our_business_is_taken_and_ignored(tell, order, metadata):
    assert tell("payment_intent.succeeded", intent(order, metadata=metadata)).status_code == 200
    assert tell("customer.created", {"id": "cus_1"}).status_code == 200
    assert now(order).payment == Payment.PENDING
