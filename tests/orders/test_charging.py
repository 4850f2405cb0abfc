"""An order is charged once, whatever the gateway answers, and whoever learns of it first. With real workers that are
killed, see tests/guarantees/test_charged_once.py.
"""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from jobs.models import Job, State
from orders import ordering, payments, settling
from orders.models import Order, Payment
from orders.payments import Charge
from tests.orders.attempts import now, receipts, run

pytestmark = pytest.mark.django_db


# --- placing ---


def test_an_order_and_its_job_are_placed_together_or_not_at_all(buyer, product):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ordering.place(buyer, product, 1, "pm_card_visa")
        1 / 0  # noqa: B018
    assert not Order.objects.exists() and not Job.objects.exists()
    order = ordering.place(buyer, product, 2, "pm_card_visa")
    assert (order.amount, order.payment) == (4900, Payment.PENDING)
    assert now(order).job == Job.objects.get(task="orders.charge_order")


def test_an_order_that_a_page_has_named_is_placed_once(buyer, product, order):
    again = ordering.place(buyer, product, 3, "pm_card_visa", pk=order.pk)
    assert (again.pk, again.quantity) == (order.pk, 2)
    assert Order.objects.count() == Job.objects.count() == 1


def test_nobody_gets_at_the_order_of_another_by_its_name(order, product, django_user_model):
    stranger = django_user_model.objects.create_user("stranger@example.com")
    with pytest.raises(ordering.Refused):
        ordering.place(stranger, product, 1, "pm_card_visa", pk=order.pk)
    assert Job.objects.count() == 1


@pytest.mark.parametrize("quantity", [0, -1, 100])
def test_a_quantity_has_bounds(buyer, product, quantity):
    with pytest.raises(ordering.Refused, match="between 1 and 99"):
        ordering.place(buyer, product, quantity, "pm_card_visa")


def test_an_amount_has_bounds(buyer, product):
    product.price = 90_000_000
    with pytest.raises(ordering.Refused, match=r"999,999\.99 EUR at most"):
        ordering.place(buyer, product, 2, "pm_card_visa")


# --- charging ---


def test_an_order_is_charged_and_its_receipt_enqueued(gateway, order):
    job = run(order.job)
    order = now(order)
    assert (job.state, order.payment) == (State.SUCCEEDED, Payment.PAID)
    assert order.charge_id.startswith("ch_")
    assert receipts(order) == gateway.charged(order.pk) == 1


def test_a_message_delivered_three_times_charges_once(gateway, order):
    for _ in range(3):
        run(order.job)
    assert gateway.charged(order.pk) == 1


def test_a_declined_card_is_final_and_told_to_its_owner(gateway, buyer, product):
    order = ordering.place(buyer, product, 1, "pm_card_chargeDeclinedInsufficientFunds")
    job = run(order.job)
    assert (job.state, job.error["message"]) == (State.DEAD, "Your card has insufficient funds.")
    assert (now(order).payment, now(order).decline_reason) == (Payment.DECLINED, "Your card has insufficient funds.")
    Job.objects.filter(pk=job.pk).requeue()
    assert run(job).state == State.DEAD, "requeued, it stays declined"
    assert receipts(order) == gateway.charged(order.pk) == 0


def test_a_card_that_the_gateway_does_not_know_is_declined(gateway, buyer, product):
    order = ordering.place(buyer, product, 1, "pm_of_nobody")
    assert run(order.job).state == State.DEAD
    assert now(order).payment == Payment.DECLINED


def test_a_busy_gateway_is_asked_again_no_sooner_than_it_said(gateway, order, monkeypatch):
    gateway.faults("busy")
    monkeypatch.setattr("random.random", lambda: 0)
    before = timezone.now()
    job = run(order.job)
    assert (job.state, job.errors[0]["error"]) == (State.RETRYING, "Busy")
    assert job.run_at - before > timedelta(seconds=0.9)
    assert run(job).state == State.SUCCEEDED
    assert gateway.charged(order.pk) == 1


@pytest.mark.parametrize("fault", ["error_before", "drop_after"])
def test_a_lost_answer_is_asked_for_again_under_the_same_key(gateway, order, fault, monkeypatch):
    monkeypatch.setattr(payments, "charges_of", lambda order: [])
    gateway.faults(fault)
    job = run(order.job)
    assert (job.state, now(order).payment) == (State.RETRYING, Payment.PENDING)
    assert run(job).state == State.SUCCEEDED
    assert gateway.charged(order.pk) == receipts(order) == 1


@pytest.mark.parametrize("fault", ["drop_after", "error_after"])
def test_a_charge_whose_answer_was_lost_is_looked_for(gateway, order, fault):
    gateway.faults(fault)
    assert run(order.job).state == State.SUCCEEDED
    assert gateway.charged(order.pk) == receipts(order) == 1


def test_a_gateway_that_is_away_is_waited_for(gateway, order, settings):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    payments.client.cache_clear()
    job = run(order.job)
    assert (job.state, job.errors[0]["error"]) == (State.RETRYING, "AnswerLost")
    settings.STRIPE_API_BASE = gateway.url
    payments.client.cache_clear()
    assert run(job).state == State.SUCCEEDED


def test_a_wrong_key_of_ours_is_not_the_fault_of_the_buyer(gateway, order, settings):
    settings.STRIPE_API_KEY = "sk_live_wrong"
    payments.client.cache_clear()
    job = run(order.job)
    assert (job.state, job.errors[0]["error"]) == (State.RETRYING, "Rejected")
    assert now(order).payment == Payment.PENDING


# --- when it is too late to ask again ---


def test_what_is_unknown_when_its_key_is_over_is_never_charged_again_and_goes_to_a_person(gateway, late):
    job = run(late.job)
    assert (job.state, job.error["type"]) == (State.DEAD, "Unknown")
    assert "You will not be charged twice." in job.error["message"]
    assert now(late).payment == Payment.UNKNOWN
    Job.objects.filter(pk=job.pk).requeue()
    assert run(job).state == State.DEAD, "not even when it is requeued"
    assert gateway.charged(late.pk) == 0
    assert list(Order.objects.unknown()) == [late]


def test_a_charge_that_shows_up_late_is_found_without_asking_for_another(gateway, order, monkeypatch):
    gateway.faults("error_after")
    with monkeypatch.context() as lagging:
        lagging.setattr(payments, "charges_of", lambda order: [])
        run(order.job)
    Order.objects.update(asked_at=timezone.now() - timedelta(hours=24))
    assert run(order.job).state == State.SUCCEEDED
    assert (now(order).payment, gateway.charged(order.pk)) == (Payment.PAID, 1)


def test_the_key_lives_from_the_first_request_and_not_from_the_order(gateway, order):
    Order.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert run(order.job).state == State.SUCCEEDED


def test_an_order_whose_job_was_stopped_says_what_is_known(gateway, order):
    Job.objects.filter(pk=order.job.pk).cancel()
    assert now(order).payment == Payment.CANCELLED
    assert not Order.objects.unknown().exists()
    Order.objects.update(asked_at=timezone.now())
    assert now(order).payment == Payment.UNKNOWN, "the gateway had been asked"
    assert list(Order.objects.unknown()) == [order]


# --- settling by staff ---


def test_a_person_looks_at_the_gateway_and_what_it_shows_is_believed(gateway, late):
    run(late.job)
    assert "The gateway shows no charge" in settling.look(now(late))
    charge = Charge("ch_found", late.pk, 4900, "eur", True, "", 0, timezone.now())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payments, "charges_of", lambda order: [charge])
        assert settling.not_paid(now(late)) == "It is paid, by ch_found."
    assert (now(late).payment, receipts(late)) == (Payment.PAID, 1)


def test_a_person_settles_it_as_not_paid_and_the_gateway_may_still_say_otherwise(gateway, late):
    from orders import outcomes

    run(late.job)
    assert "settled as not paid" in settling.not_paid(now(late))
    assert (now(late).payment, now(late).decline_reason) == (Payment.DECLINED, settling.NOT_PAID)
    assert outcomes.paid(late, Charge("ch_late", late.pk, 4900, "eur", True, "", 0, timezone.now()))
    assert now(late).payment == Payment.PAID


def test_only_what_is_unknown_can_be_settled(gateway, order):
    run(order.job)
    assert settling.not_paid(now(order)) == "This order is paid. Only one whose payment is unknown can be settled."


# --- refunds ---


@pytest.fixture
def staff(django_user_model):
    return django_user_model.objects.create_superuser("staff@example.com")


@pytest.fixture
def refund(gateway, order, staff):
    """The job of a refund that was asked for twice."""
    run(order.job)
    for _ in range(2):
        assert settling.refund(now(order), staff) == "A job refunds it."
    return Job.objects.get(task="orders.refund_order")


@pytest.mark.parametrize("fault", [None, "drop_after", "error_after", "busy", "error_before"])
def test_a_paid_order_is_refunded_once(gateway, order, refund, fault):
    gateway.faults(fault)
    for _ in range(3):
        job = run(refund)
    assert job.state == State.SUCCEEDED
    assert now(order).payment == Payment.REFUNDED
    assert gateway.ledger()["refunded"][str(order.pk)] == 1
    assert Job.objects.filter(key=f"refund:{order.pk}").count() == 1


def test_only_what_is_paid_can_be_refunded(gateway, order, staff):
    assert settling.refund(order, staff).startswith("This order is pending.")
    assert not Job.objects.filter(task="orders.refund_order").exists()
