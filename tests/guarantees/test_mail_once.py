"""Everybody gets their mail once, whatever happens to the worker or the mail server meanwhile."""

import os
import time

import httpx
import pytest

from jobs import broker
from jobs.models import Job, State
from mail.tasks import send_message
from tests.client import new_email, sign_up
from tests.smtp import MailServer
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

OUTAGE = 60 if os.environ.get("CHAOS") == "long" else 5  # seconds


@pytest.fixture(scope="module")
def site(make_module_stack, mail_server) -> Stack:
    running = ["web", "worker-mail", "worker-urgent", "clock", "valkey"]
    return make_module_stack(only=running, EMAIL_URL=mail_server.url, JOB_LEASE_SECONDS="2")


@pytest.fixture
def ann(site: Stack) -> str:
    """The address of somebody who will sign up."""
    return new_email()


def welcome(email: str) -> Job | None:
    """The job that welcomes this person."""
    return Job.objects.filter(task="mail.send_message", owner__email=email).first()


def welcomed(email: str) -> bool:
    return welcome(email).state == State.SUCCEEDED


def test_a_job_delivered_three_times_sends_its_mail_once_and_mails_share_a_connection(
    site: Stack, mail_server: MailServer
) -> None:
    site.stop("worker-mail")
    mail_server.peers.clear()
    people = [new_email() for _ in range(10)]
    assert {sign_up(site.url, email).status_code for email in people} == {302}
    with site.inside():
        for _ in range(2):
            broker.publish(Job.objects.all())
        site.start_again("worker-mail")
        wait_until(lambda: all(map(welcomed, people)))
        wait_until(lambda: broker.waiting_messages("mail") == 0)
    assert [len(mail_server.to(email)) for email in people] == [1] * 10
    assert len(set(mail_server.peers)) == 1


def test_signing_up_works_while_the_mail_server_is_down_and_the_mail_comes_later(
    site: Stack, mail_server: MailServer, ann: str
) -> None:
    mail_server.stop()
    down_since = time.monotonic()
    assert sign_up(site.url, ann).status_code == 302
    assert time.monotonic() - down_since < 3, "it waited for the mail server"
    with site.inside():
        wait_until(lambda: welcome(ann).errors and time.monotonic() - down_since > OUTAGE, timeout=90)
        mail_server.start()
        wait_until(lambda: welcomed(ann), timeout=2 * OUTAGE + 30)
        assert {one["error"] for one in welcome(ann).errors} == {"ConnectionRefusedError"}
    assert len(mail_server.to(ann)) == 1


@pytest.mark.parametrize("step", ["recipient", "content"])
def test_a_worker_killed_before_and_during_the_sending_sends_once(
    site: Stack, mail_server: MailServer, ann: str, step: str
) -> None:
    with mail_server.held(step) as hold, site.inside():
        sign_up(site.url, ann)
        assert hold.reached.wait(20)
        site.kill("worker-mail")
        wait_until(lambda: [one["error"] for one in welcome(ann).errors] == ["worker_lost"])
        hold.let_go()
        wait_until(lambda: welcomed(ann), timeout=30)
        assert welcome(ann).attempt == 2
    assert len(mail_server.to(ann)) == 1


def test_a_worker_killed_when_the_server_has_the_mail_and_has_not_said_so_sends_it_again_as_the_same(
    site: Stack, mail_server: MailServer, ann: str
) -> None:
    """The one case that nobody can exclude: see `mail.once`."""
    with mail_server.held("answer") as hold, site.inside():
        sign_up(site.url, ann)
        assert hold.reached.wait(20)
        site.kill("worker-mail")
        wait_until(lambda: welcome(ann).errors)
        hold.let_go()
        wait_until(lambda: welcomed(ann), timeout=30)
        message_id = f"<{welcome(ann).pk}@127.0.0.1>"
    assert [message["message-id"] for message in mail_server.to(ann)] == [message_id] * 2


def test_a_worker_that_is_told_to_stop_hears_the_server_out(site: Stack, mail_server: MailServer, ann: str) -> None:
    with mail_server.held("answer") as hold, site.inside():
        sign_up(site.url, ann)
        assert hold.reached.wait(20)
        site.processes["worker-mail"].ask_to_end()
        wait_until(lambda: "Warm shutdown" in site.tail(20))
        hold.let_go()
        wait_until(lambda: welcomed(ann))
        assert welcome(ann).attempt == 1
    site.restart("worker-mail")
    assert len(mail_server.to(ann)) == 1


def test_a_link_to_choose_a_password_never_waits_behind_other_mail(
    site: Stack, mail_server: MailServer, ann: str
) -> None:
    sign_up(site.url, ann)
    wait_until(lambda: mail_server.to(ann))
    others = new_email()
    with mail_server.held("recipient", to=others) as hold, site.inside():
        mail = {"template": "accounts/messages/welcome", "to": others, "context": {"email": others}}
        send_message.enqueue_many([send_message.job(**mail) for _ in range(50)])
        assert hold.reached.wait(20)
        began = time.monotonic()
        ask_for_link(site.url, ann)
        wait_until(lambda: len(mail_server.to(ann)) == 2)
        assert time.monotonic() - began < 3
        assert not mail_server.to(others)


def ask_for_link(site: str, email: str) -> None:
    with httpx.Client(base_url=site) as visitor:
        visitor.get("/password-reset")
        form = {"email": email, "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        assert visitor.post("/password-reset", data=form).status_code == 302
