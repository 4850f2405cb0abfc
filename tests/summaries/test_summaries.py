"""Who gets a summary of their day, what it says, and what operators can do about a mailing."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from jobs.models import Job, PausedQueue, State
from jobs.worker import work
from notifications import choices
from notifications.models import Channel, Event
from summaries import freezing, pausing
from summaries.models import Mailing, Recipient
from summaries.tasks import launch, mail_summaries, send_summary
from tests.client import new_email
from tests.jobs.test_admin import staff
from tests.notifications.finished import make_thing

pytestmark = pytest.mark.django_db

SLOT = "2026-03-02T06:00:00+00:00"
DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEDGER = reverse("admin:summaries_mailing_changelist")


def person(*ends: str, at: datetime = NOON) -> User:
    """Somebody whose work came to these ends."""
    user = User.objects.create_user(new_email())
    for end in ends:
        job = make_thing.enqueue(owner=user)
        error = {"type": "No", "message": "The file is empty."} if end == State.DEAD else None
        Job.objects.filter(pk=job.pk).update(state=end, finished_at=at, error=error)
    return user


def run(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(run_at=job.created_at)
    work([str(job.pk)], job.queue)
    job.refresh_from_db()
    return job


def mail_all() -> list[Job]:
    """The clock's job, and then all of those that it made."""
    assert run(mail_summaries.enqueue(slot=SLOT)).state == State.SUCCEEDED
    return [run(job) for job in Job.objects.filter(task=send_summary.name).waiting().order_by("created_at")]


def recipients() -> set[User]:
    return {recipient.user for recipient in Recipient.objects.filter(mailing=DAY)}


def test_a_summary_says_what_needs_somebody_and_what_is_ready_with_links() -> None:
    ann = person(State.SUCCEEDED, State.DEAD)
    mail_all()
    [message] = mail.outbox
    assert message.to == [ann.email]
    assert message.subject == "Your Sunday: 1 to look at, 1 ready"
    for body in (message.body, message.alternatives[0][0]):
        assert "Make thing: failed" in body
        assert "The file is empty." in body
        assert "Make thing: done" in body
        assert "/videos/" in body
        assert "/notifications/unsubscribe/" in body


def test_who_has_nothing_to_be_told_or_does_not_want_it_gets_none() -> None:
    ann = person(State.SUCCEEDED)
    person()
    person(State.RETRYING)
    person(State.SUCCEEDED, at=NOON - timedelta(days=1))
    person(State.SUCCEEDED, at=datetime(2026, 3, 2, tzinfo=UTC))
    gone, unwilling = person(State.SUCCEEDED), person(State.SUCCEEDED)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    choices.choose(unwilling, Event.DAILY_SUMMARY, Channel.MAIL, wanted=False)
    mail_all()
    assert recipients() == {ann}
    mail_all()
    assert len(mail.outbox) == 1, "the day was told twice"


def test_freezing_that_was_torn_off_is_taken_up_and_adds_nobody_twice(monkeypatch) -> None:
    monkeypatch.setattr(freezing, "BATCH", 2)
    people = [person(State.SUCCEEDED) for _ in range(5)]

    def torn(mailing, days):
        if mailing.recipients:
            raise ConnectionError
        return launch(mailing, days)

    with pytest.raises(ConnectionError):
        list(freezing.freeze(DAY, torn))
    assert recipients() == set(people[:2])
    mail_all()
    assert recipients() == set(people)
    assert sorted(message.to[0] for message in mail.outbox) == sorted(one.email for one in people)
    late = person(State.SUCCEEDED)
    mail_all()
    assert late not in recipients(), "frozen, and yet it grew"


def test_a_batch_costs_the_same_number_of_queries_however_many_users(monkeypatch) -> None:
    def cost() -> int:
        Mailing.objects.filter(day=DAY).delete()
        Job.objects.filter(task=send_summary.name).delete()
        with CaptureQueriesContext(
            connection,
        ) as asked:
            list(freezing.freeze(DAY, launch))
        return len(asked)

    person(State.SUCCEEDED)
    one = cost()
    for _ in range(10):
        person(State.SUCCEEDED, State.DEAD)
    assert cost() == one


def test_mails_are_spread_at_the_rate_that_was_set(settings) -> None:
    settings.SUMMARIES_PER_SECOND = 0.5
    for _ in range(3):
        person(State.SUCCEEDED)
    run(mail_summaries.enqueue(slot=SLOT))
    began = Mailing.objects.get().began_at
    times = Job.objects.filter(task=send_summary.name).order_by("run_at").values_list("run_at", flat=True)
    assert [(at - began).total_seconds() for at in times] == [0, 2, 4]


def test_who_unsubscribes_before_it_is_sent_gets_none_and_the_ledger_says_so() -> None:
    ann = person(State.SUCCEEDED)
    run(mail_summaries.enqueue(slot=SLOT))
    choices.choose(ann, Event.DAILY_SUMMARY, Channel.MAIL, wanted=False)
    run(Job.objects.get(task=send_summary.name))
    assert not mail.outbox
    assert Mailing.objects.get().tally == {"sent": 0, "waiting": 0, "failed": 0, "left_out": 1, "pruned": 0}


def test_what_was_mended_meanwhile_is_not_told_as_dead() -> None:
    person(State.DEAD)
    run(mail_summaries.enqueue(slot=SLOT))
    Job.objects.filter(task=make_thing.name).requeue()
    run(Job.objects.get(task=send_summary.name))
    assert not mail.outbox


# --- unsubscribing ---


def test_one_click_unsubscribes_without_login_or_cookie_and_looking_does_not() -> None:
    ann = person(State.SUCCEEDED)
    mail_all()
    headers = mail.outbox[0].message()
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = headers["List-Unsubscribe"].strip("<>").removeprefix("http://localhost:8000")
    stranger = Client(enforce_csrf_checks=True)
    for _ in range(2):
        assert b"<form" in stranger.get(path).content
        assert choices.wants(ann, Event.DAILY_SUMMARY, Channel.MAIL)
    answer = stranger.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200
    assert not choices.wants(ann, Event.DAILY_SUMMARY, Channel.MAIL)
    assert choices.wants(ann, Event.JOB_DEAD, Channel.MAIL), "more than was asked"


def test_a_link_that_is_not_ours_unsubscribes_nobody() -> None:
    answer = Client().post(reverse("notifications:unsubscribe", args=["WzEsInN1bW1hcnkuZGFpbHkiXQ:forged"]))
    assert answer.status_code == 404
    assert b"copy all of it" in answer.content


# --- the ledger ---


@pytest.fixture
def operator() -> Client:
    return staff("operator@example.com", "Operators")


def test_the_ledger_counts_and_resends_only_what_failed(operator: Client) -> None:
    people = [person(State.SUCCEEDED) for _ in range(3)]
    run(mail_summaries.enqueue(slot=SLOT))
    first, second, third = Job.objects.filter(task=send_summary.name).order_by("owner")
    run(first)
    Job.objects.filter(pk=second.pk).bury()
    assert Mailing.objects.get().tally == {"sent": 1, "waiting": 1, "failed": 1, "left_out": 0, "pruned": 0}
    page = operator.get(LEDGER)
    [link] = [
        part.split('"')[0]
        for part in page.content.decode().replace("&amp;", "&").split('href="')
        if "move/requeue" in part.split('"')[0]
    ]
    assert b"requeue" in operator.get(link).content
    operator.post(link)
    run(Job.objects.get(task="jobs.bulk_move"))
    assert {job.pk for job in Job.objects.filter(task=send_summary.name).waiting()} == {second.pk, third.pk}
    run(second)
    assert [message.to for message in mail.outbox] == [[one.email] for one in people[:2]]
    assert LogEntry.objects.filter(object_id=str(second.pk)).exists()


def test_the_ledger_says_of_how_many_mails_it_does_not_know_any_more(operator: Client) -> None:
    for _ in range(3):
        person(State.SUCCEEDED)
    sent, *_ = mail_all()
    Job.objects.filter(task=send_summary.name).exclude(pk=sent.pk).delete()
    assert Mailing.objects.get().tally == {"sent": 1, "waiting": 0, "failed": 0, "left_out": 0, "pruned": 2}
    page = operator.get(LEDGER).content.decode()
    assert '<td class="field-recipients_so_far">3</td>' in page
    assert '<td class="field-pruned">2</td>' in page


def test_a_mailing_pauses_and_goes_on_at_its_pace(operator: Client) -> None:
    for _ in range(2):
        person(State.SUCCEEDED)
    run(mail_summaries.enqueue(slot=SLOT))
    operator.post(reverse("admin:summaries_mailing_pause"))
    assert b"Paused" in operator.get(LEDGER).content
    job = Job.objects.filter(task=send_summary.name).order_by("-run_at")[0]
    assert run(job).state == State.QUEUED
    PausedQueue.objects.update(paused_at=F("paused_at") - timedelta(hours=1))
    planned = PausedQueue.objects.get().paused_at + timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(run_at=planned)
    operator.post(reverse("admin:summaries_mailing_resume"))
    job.refresh_from_db()
    assert timedelta(minutes=59) < job.run_at - planned < timedelta(minutes=61)
    assert pausing.paused() is None


def test_who_may_only_look_sees_the_ledger_and_can_do_nothing() -> None:
    person(State.SUCCEEDED)
    run(mail_summaries.enqueue(slot=SLOT))
    observer = staff("observer@example.com", "Observers")
    assert observer.get(LEDGER).status_code == 200
    assert observer.post(reverse("admin:summaries_mailing_pause")).status_code == 403
    assert staff("nobody@example.com").get(LEDGER).status_code == 403
