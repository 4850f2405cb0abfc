"""One receipt for each paid order, however often its payment is learned and whatever happens on the way to the mail."""

import os
import time
from typing import Any

import pytest

from accounts.models import User
from jobs import broker
from jobs.models import Job, State
from orders import ordering
from orders.models import Order, Product
from tests.client import new_email
from tests.gateway import Gateway
from tests.smtp import MailServer
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

OUTAGE = 60 if os.environ.get("CHAOS") == "long" else 5  # seconds
LINES = ["web", "worker-payments", "worker-mail", "clock", "gateway", "valkey"]


@pytest.fixture(scope="module")
def site(make_module_stack: Any, mail_server: MailServer) -> Stack:
    site = make_module_stack(only=LINES, EMAIL_URL=mail_server.url, JOB_LEASE_SECONDS="2")
    wait_until(Gateway(site.env["GATEWAY_PORT"]).answers)
    site.manage("seed")
    return site


def order(email: str) -> Order:
    """Place one, for somebody with this address."""
    return ordering.place(User.objects.create(email=email), Product.objects.all()[0], 1, "pm_card_visa")


def receipt(order: Order) -> Job | None:
    return Job.objects.filter(task="mail.send_message", key=f"receipt:{order.pk}").first()


def sent(order: Order) -> bool:
    job = receipt(order)
    return job is not None and job.state == State.SUCCEEDED


def test_every_message_delivered_three_times_and_every_event_told_twice(site: Stack, mail_server: MailServer) -> None:
    Gateway(site.env["GATEWAY_PORT"]).faults(chances={"event_twice": 1})
    people = [new_email() for _ in range(10)]
    with site.inside():
        site.stop("worker-mail")
        orders = [order(email) for email in people]
        for _ in range(2):
            broker.publish([one.job for one in orders])
        wait_until(lambda: all(receipt(one) for one in orders))
        for _ in range(2):
            broker.publish([receipt(one) for one in orders])
        site.start_again("worker-mail")
        wait_until(lambda: all(map(sent, orders)))
        wait_until(lambda: not broker.waiting_messages("mail") and not broker.waiting_messages("payments"))
    assert [len(mail_server.to(email)) for email in people] == [1] * 10
    subject = mail_server.to(people[0])[0]["subject"]
    assert subject == "Receipt for Ear plugs: 3.90 EUR"


def test_a_mail_server_that_is_down_delays_the_receipt_and_not_the_payment(
    site: Stack, mail_server: MailServer
) -> None:
    email = new_email()
    mail_server.stop()
    down_since = time.monotonic()
    with site.inside():
        placed = order(email)
        wait_until(lambda: Order.objects.get(pk=placed.pk).paid_at)
        wait_until(lambda: receipt(placed).errors and time.monotonic() - down_since > OUTAGE, timeout=90)
        mail_server.start()
        wait_until(lambda: sent(placed), timeout=2 * OUTAGE + 30)
    assert len(mail_server.to(email)) == 1


@pytest.mark.parametrize("step", ["recipient", "content"])
def test_a_worker_killed_before_and_during_the_sending(site: Stack, mail_server: MailServer, step: str) -> None:
    email = new_email()
    with mail_server.held(step) as hold, site.inside():
        placed = order(email)
        assert hold.reached.wait(20)
        site.kill("worker-mail")
        wait_until(lambda: [one["error"] for one in receipt(placed).errors] == ["worker_lost"])
        hold.let_go()
        wait_until(lambda: sent(placed), timeout=30)
    assert len(mail_server.to(email)) == 1
