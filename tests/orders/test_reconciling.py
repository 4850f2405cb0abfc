"""The nightly comparison finds what was planted, reports it once, and says nothing of what agrees."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Job, State
from orders import ordering, reconciling
from orders.models import Difference, Order, Reconciliation
from orders.tasks import reconcile_payments
from tests.orders.attempts import run

pytestmark = pytest.mark.django_db

Kind = Difference.Kind


@pytest.fixture
def pay(buyer, product, gateway):
    def pay():
        order = ordering.place(buyer, product, 1, "pm_card_visa")
        run(order.job)
        return Order.objects.get(pk=order.pk)

    return pay


@pytest.fixture
def charge_again(sdk):
    def charge_again(**changes):
        wish = {"amount": 2450, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
        return sdk.v1.payment_intents.create({**wish, **changes}).latest_charge

    return charge_again


@pytest.fixture
def night(gateway, monkeypatch):
    """Compare what this test has made, as in the night after it, and return what was found of it."""
    began = timezone.now().replace(microsecond=0)
    monkeypatch.setattr(reconciling, "SLACK", timedelta(0))
    strays = set()  # the charges of this test that belong to no order; the gateway has those of other tests too

    def night():
        compared = reconciling.compare(began, timezone.now() + timedelta(minutes=1), lambda *_: None)
        reconciling.write_down(compared)
        found = [one for one in compared.differences if one.order or one.reference in strays]
        return {(one.kind, one.reference) for one in found}

    night.strays = strays
    return night


def test_what_agrees_is_not_mentioned(pay, night):
    for _ in range(3):
        pay()
    assert night() == set()
    assert Reconciliation.objects.get().orders == 3


def test_planted_differences_are_found(pay, charge_again, night, sdk, gateway):
    pay()
    made_up = pay()
    Order.objects.filter(pk=made_up.pk).update(charge_id="ch_made_up")
    forgotten = pay()
    Order.objects.filter(pk=forgotten.pk).update(paid_at=None, charge_id=None)
    twice = pay()
    charge_again(metadata={"order": str(twice.pk)})
    cheaper = pay()
    Order.objects.filter(pk=cheaper.pk).update(amount=cheaper.amount - 1)
    refunded_there = pay()
    sdk.v1.refunds.create({"charge": refunded_there.charge_id})
    refunded_here = pay()
    Order.objects.filter(pk=refunded_here.pk).update(refunded_at=timezone.now())
    stray = charge_again()
    night.strays.add(stray)
    gateway.faults("error_during")
    untold = pay()
    Job.objects.filter(pk=untold.job.pk).cancel()

    assert night() == {
        (Kind.NOT_CHARGED, str(made_up.pk)),
        (Kind.CHARGED_TWICE, str(made_up.pk)),  # its real charge is none of what it was paid by
        (Kind.NOT_PAID, str(forgotten.pk)),
        (Kind.UNKNOWN, str(forgotten.pk)),
        (Kind.CHARGED_TWICE, str(twice.pk)),
        (Kind.AMOUNT, str(cheaper.pk)),
        (Kind.REFUND, str(refunded_there.pk)),
        (Kind.REFUND, str(refunded_here.pk)),
        (Kind.NOT_PAID, stray),
        (Kind.UNKNOWN, str(untold.pk)),
    }


def test_each_difference_is_reported_once_to_each_of_the_staff(pay, charge_again, night, django_user_model):
    for name in ("one", "two"):
        django_user_model.objects.create_user(f"{name}@example.com", is_staff=True)
    charge_again(metadata={"order": str(pay().pk)})
    for _ in range(2):
        night()
    mails = Job.objects.filter(task="mail.send_message", args__template="orders/messages/differences")
    assert sorted(mail.args["to"] for mail in mails) == ["one@example.com", "two@example.com"]
    assert Difference.objects.filter(kind=Kind.CHARGED_TWICE).count() == 1


def test_the_job_leaves_alone_what_may_be_on_its_way(pay, night):
    order = pay()
    Order.objects.filter(pk=order.pk).update(charge_id="ch_made_up")
    assert run(reconcile_payments.enqueue()).state == State.SUCCEEDED
    assert not Difference.objects.filter(order=order).exists()
    assert Reconciliation.objects.get().until < order.paid_at
