"""What is known to have been sent is not sent again, by whichever attempt."""

import pytest
from django.core import mail

from jobs.models import Job, State
from jobs.worker import work
from mail import once, sending
from mail.models import Sent
from mail.tasks import send_message

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> Job:
    return send_message.enqueue(template="accounts/messages/welcome", to="ann@example.com", context={"email": "Ann"})


def attempt(job: Job) -> str:
    Job.objects.filter(pk=job.pk, state=State.RETRYING).update(run_at=job.created_at)
    work([str(job.pk)], job.queue)
    job.refresh_from_db()
    return job.state


def test_a_mail_is_sent_and_remembered(job: Job) -> None:
    assert attempt(job) == State.SUCCEEDED
    assert [message.to for message in mail.outbox] == [["ann@example.com"]]
    assert Sent.objects.get().job == job


def test_an_attempt_after_the_sending_sends_nothing(job: Job) -> None:
    Sent.remember(job)
    assert attempt(job) == State.SUCCEEDED
    assert not mail.outbox


def test_a_job_cancelled_while_sending_and_requeued_sends_nothing_more(job: Job, monkeypatch) -> None:
    def cancelled_meanwhile(message, on_accepted):
        Job.objects.filter(pk=job.pk).cancel()
        send(message, on_accepted)

    send = sending.send
    monkeypatch.setattr(once.sending, "send", cancelled_meanwhile)
    assert attempt(job) == State.CANCELLED
    Job.objects.filter(pk=job.pk).requeue()
    assert attempt(job) == State.SUCCEEDED
    assert len(mail.outbox) == 1


def test_a_job_cancelled_while_others_of_its_message_are_sent_sends_nothing(job: Job, monkeypatch) -> None:
    def cancelling_the_others(message, on_accepted):
        Job.objects.exclude(args__to=message.to[0]).cancel()
        send(message, on_accepted)

    send = sending.send
    monkeypatch.setattr(once.sending, "send", cancelling_the_others)
    other = send_message.enqueue(template="accounts/messages/welcome", to="bob@example.com", context={"email": "Bob"})
    work([str(job.pk), str(other.pk)], job.queue)
    assert len(mail.outbox) == 1
    assert sorted(Job.objects.values_list("state", flat=True)) == [State.CANCELLED, State.SUCCEEDED]


def test_a_refusal_ends_the_job_with_words_for_its_owner(job: Job, monkeypatch) -> None:
    def refuse(*_, **__):
        raise sending.Refused("No such mailbox.")

    monkeypatch.setattr(once.sending, "send", refuse)
    assert attempt(job) == State.DEAD
    assert (job.attempt, job.error) == (1, {"type": "Refused", "message": "No such mailbox."})


def test_any_other_error_is_tried_again(job: Job, monkeypatch) -> None:
    def fail(*_, **__):
        raise TimeoutError

    with monkeypatch.context() as down:
        down.setattr(once.sending, "send", fail)
        assert attempt(job) == State.RETRYING
    assert attempt(job) == State.SUCCEEDED


def test_what_was_sent_is_forgotten_with_its_job(job: Job) -> None:
    Sent.remember(job)
    Sent.remember(job)
    job.delete()
    assert not Sent.objects.exists()
