"""Telling the owner that a job has finished: once, by each way they want, whatever died in between."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import User
from jobs.models import Job, State
from notifications import choices, telling
from notifications.models import Channel, Event, Told
from notifications.tasks import mail_about_job, tell_missed
from tests.notifications.finished import finished, run
from tests.trial.tasks import record

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(settings: Any) -> User:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    return User.objects.create_user("ann@example.com")


@pytest.fixture
def heard(django_capture_on_commit_callbacks):
    """End a job as a worker does that lives on: what hears of it does so after the commit."""

    def end(*args: Any, **kwargs: Any) -> Job:
        with django_capture_on_commit_callbacks(execute=True):
            return finished(*args, **kwargs)

    return end


def mails() -> list[Job]:
    """The jobs that mail about others, each run once."""
    return [run(job) for job in Job.objects.filter(task=mail_about_job.name, state=State.QUEUED)]


def test_whoever_wants_mail_gets_one_with_words_and_a_way_there(heard, ann: User) -> None:
    heard(ann, good=False)
    assert [job.state for job in mails()] == [State.SUCCEEDED]
    [sent] = mail.outbox
    assert (sent.subject, sent.to) == ("Make thing: failed", ["ann@example.com"])
    assert "The thing <b>broke</b>." in sent.body and "/videos/" in sent.body and "/notifications/settings" in sent.body
    assert "The thing &lt;b&gt;broke&lt;/b&gt;." in sent.alternatives[0].content


def test_whoever_does_not_want_it_gets_none(heard, ann: User) -> None:
    heard(ann)
    assert not mails(), "by default, what went well is not mailed"
    choices.choose(ann, Event.JOB_SUCCEEDED, Channel.MAIL, True)
    heard(ann)
    assert len(mails()) == 1


def test_what_nobody_asked_for_is_not_told(ann: User, django_capture_on_commit_callbacks) -> None:
    for event in (Event.JOB_SUCCEEDED, Event.JOB_DEAD):
        choices.choose(ann, event, Channel.MAIL, True)
    with django_capture_on_commit_callbacks(execute=True):
        run(record.enqueue(number=1, owner=ann))
        finished(owner=None, good=False)
    run(tell_missed.enqueue())
    assert not mails() and not Told.objects.exists()


def test_a_worker_that_died_after_the_end_loses_no_mail_and_both_ways_make_one(heard, ann: User) -> None:
    lost = finished(ann, good=False)  # nobody hears of it: what listens never runs
    heard(ann, good=False)
    assert Job.objects.filter(task=mail_about_job.name).count() == 1

    assert run(tell_missed.enqueue()).result == {"told": 1}
    assert run(tell_missed.enqueue()).result == {"told": 0}
    telling.hear(lost)
    assert len(mails()) == 2


def test_the_clock_goes_back_to_when_it_last_looked_however_long_ago_that_is(ann: User) -> None:
    finished(ann, good=False)
    Job.objects.update(finished_at=timezone.now() - timedelta(days=2))
    assert run(tell_missed.enqueue(key="first")).result == {"told": 0}, "what is older than the site's memory is left"

    Job.objects.filter(key="first").update(created_at=timezone.now() - timedelta(days=3))
    assert run(tell_missed.enqueue(key="second")).result == {"told": 1}


def test_each_end_of_a_job_is_told_and_none_that_is_over(heard, ann: User) -> None:
    job = heard(ann, good=False)
    [requeued] = Job.objects.filter(pk=job.pk).requeue()
    assert [one.state for one in mails()] == [State.SUCCEEDED]
    assert not mail.outbox, "it is not dead any more"
    run(requeued)
    run(tell_missed.enqueue())
    mails()
    assert len(mail.outbox) == 1


def test_a_deleted_job_is_not_told_of(heard, ann: User) -> None:
    heard(ann, good=False).delete()
    assert [job.state for job in mails()] == [State.SUCCEEDED]
    assert not mail.outbox
