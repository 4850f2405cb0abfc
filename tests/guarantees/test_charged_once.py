"""Every order is charged exactly once, whatever the gateway does and whichever worker dies: counted by the gateway.

`make chaos` runs the long form.
"""

import os
import random
import re
import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from jobs.models import UNFINISHED, Job
from orders import ordering, payments, reconciling
from orders.models import Difference, Order, Payment, Product
from tests.gateway import Gateway
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LONG = os.environ.get("CHAOS") == "long"
ORDERS, KILLS = (500, 20) if LONG else (30, 2)
LINES = ["web", "worker-payments", "worker-mail", "clock", "gateway", "valkey"]
TIMEOUT = 2.0  # seconds that we wait for the gateway

# Of every hundred requests. All kinds are met at least once: see `meet_each()`.
CHANCES = {
    "busy": 0.08,
    "error_before": 0.08,
    "error_during": 0.03,
    "error_after": 0.08,
    "drop_after": 0.08,
    "slow": 0.05,
    "decline": 0.05,
    "event_lost": 0.08,
    "event_twice": 0.08,
    "event_first": 0.08,
}


@pytest.fixture
def site(make_stack):
    site = make_stack(
        only=LINES, JOB_LEASE_SECONDS="3", PAYMENT_WORKERS="4", PAYMENT_TIMEOUT_SECONDS=str(TIMEOUT)
    )  # fmt: skip
    with site.inside():
        yield site


@pytest.fixture
def gateway(site, settings):
    gateway = Gateway(site.env["GATEWAY_PORT"])
    wait_until(gateway.answers)
    settings.STRIPE_API_BASE = gateway.url
    payments.client.cache_clear()
    yield gateway
    payments.client.cache_clear()


def place() -> None:
    """Each by another buyer. One card in ten is declined by itself."""
    lamp = Product.objects.create(name="Night lamp", price=2450)
    for number in range(ORDERS):
        card = "pm_card_chargeDeclined" if number % 10 == 9 else "pm_card_visa"
        ordering.place(User.objects.create(email=f"buyer{number}@example.com"), lamp, 1, card)


def kill_along_the_way(site: Stack) -> None:
    for turn in range(KILLS):
        moment = 0.8 * ORDERS * (turn + random.random()) / KILLS
        wait_until(lambda moment=moment: settled() >= moment, timeout=120)
        children = site.children("worker-payments") if turn % 5 != 4 and site.processes["worker-payments"].pid else []
        if children:
            os.kill(random.choice(children), signal.SIGKILL)
        else:
            site.kill("worker-payments")


def settled() -> int:
    return Order.objects.exclude(paid_at=None, declined_at=None).count()


def days_pass(orders: list[str]) -> None:
    """For those of which the gateway says nothing, until their keys are over."""
    Order.objects.filter(pk__in=orders).update(asked_at=timezone.now() - timedelta(days=1))
    Job.objects.waiting().filter(order__in=orders).update(run_at=timezone.now())


def receipts(site: Stack) -> Counter[str]:
    """How many were sent for each order."""
    mails = [file.read_text() for file in (site.folder / "mail").iterdir()]
    return Counter(order for mail in mails for order in re.findall(r"^Order: (\S+)", mail, re.MULTILINE))


def test_every_order_is_charged_once_while_the_gateway_fails_in_every_way_and_workers_are_killed(site, gateway):
    gateway.faults(*CHANCES, chances=CHANCES, seconds=TIMEOUT + 1, seed=random.random())
    place()
    kill_along_the_way(site)

    def untold() -> set[str]:
        """The orders of which the gateway says nothing but 500, having neither charged nor declined them."""
        books = gateway.ledger()
        return set(books["errors"]) - set(books["charged"]) - set(books["declined"])

    wait_until(lambda: settled() + len(untold()) == ORDERS, timeout=300, every=0.5)
    refused = untold()
    days_pass(list(refused))
    ours = Job.objects.filter(queue__in=("payments", "mail"))  # for which there are workers
    wait_until(lambda: not ours.filter(state__in=UNFINISHED).exists(), timeout=120, every=0.5)

    books = gateway.ledger()
    orders = list(Order.objects.select_related("job"))
    by_payment = Counter(order.payment.value for order in orders)
    lost = sum(error["error"] == "worker_lost" for order in orders for error in order.job.errors)
    print(f"\n{ORDERS} orders, {KILLS} kills, {lost} attempts lost: {dict(by_payment)}; faults: {books['faults']}")

    assert books["faults"].keys() >= CHANCES.keys()
    paid = {str(order.pk) for order in orders if order.payment == Payment.PAID}
    assert books["charged"] == dict.fromkeys(paid, 1)
    assert {str(order.pk) for order in orders if order.payment == Payment.UNKNOWN} == refused
    assert by_payment.keys() <= {"paid", "declined", "unknown"}
    assert receipts(site) == dict.fromkeys(paid, 1)

    compared = reconciling.compare(
        timezone.now() - timedelta(days=1), timezone.now() + timedelta(hours=1), lambda *_: None
    )
    assert {(one.kind, one.reference) for one in compared.differences} == {
        (Difference.Kind.UNKNOWN, order) for order in refused
    }
    assert compared.orders == compared.charges == len(paid)
