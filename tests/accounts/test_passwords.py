"""Lost passwords: the mail tells its reader everything, and the page tells strangers nothing."""

import re

import pytest
from django.core import mail
from django.test import Client

from accounts.models import User
from jobs.models import Job, State
from jobs.worker import work

pytestmark = pytest.mark.django_db

NEW = "another password of the tests"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.com", "a password of the tests")


def ask(client: Client, email: str):
    return client.post("/password-reset", {"email": email}, follow=True)


def link() -> str:
    """The path in the mail that the latest job sends."""
    job = Job.objects.first()
    work([str(job.pk)], job.queue)
    return re.search(r"http://[^/]+(/password-reset/\S+)", mail.outbox[-1].body)[1]


def choose(client: Client, path: str):
    form = client.get(path, follow=True)
    return client.post(form.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW}, follow=True)


def test_the_link_in_the_mail_lets_choose_a_new_password_once(client: Client, ann: User) -> None:
    ask(client, "ANN@example.com")
    path = link()
    assert [message.to for message in mail.outbox] == [["ann@example.com"]]

    answer = choose(client, path)
    assert answer.redirect_chain[-1] == ("/login", 302)
    assert "Your new password is set." in answer.text
    ann.refresh_from_db()
    assert ann.check_password(NEW)
    assert "This link does not work any more." in client.get(path, follow=True).text


def test_the_link_is_never_kept_for_operators_to_read(client: Client, ann: User) -> None:
    ask(client, "ann@example.com")
    token = link().rsplit("/", 1)[1]
    assert not [value for value in Job.objects.values().get().values() if token in str(value)]


def test_strangers_are_answered_as_members_are(client: Client, ann: User) -> None:
    known, unknown = ask(client, "ann@example.com"), ask(client, "nobody@example.com")
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert Job.objects.count() == 2, "both do the same work"
    for job in Job.objects.all():
        work([str(job.pk)], job.queue)
    assert set(Job.objects.values_list("state", "error")) == {(State.SUCCEEDED, None)}
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!unusable"}])
def test_who_may_not_log_in_gets_no_link(client: Client, ann: User, change) -> None:
    User.objects.update(**change)
    ask(client, "ann@example.com")
    job = Job.objects.get()
    work([str(job.pk)], job.queue)
    assert not mail.outbox


def test_pressing_the_button_again_and_again_sends_one_link_a_minute(client: Client, ann: User) -> None:
    for email in ("ann@example.com", "Ann@example.com", "ann@example.com"):
        ask(client, email)
    assert Job.objects.count() in (1, 2), "the minute may have ended in between"


def test_links_have_a_queue_of_their_own(client: Client, ann: User) -> None:
    ask(client, "ann@example.com")
    assert Job.objects.get().queue == "urgent"


def test_changing_the_password_logs_all_other_browsers_out(client: Client, ann: User) -> None:
    other = Client()
    for browser in (client, other):
        browser.post("/login", {"username": ann.email, "password": "a password of the tests"})
        assert browser.get("/account").status_code == 200
    form = {"old_password": "a password of the tests", "new_password1": NEW, "new_password2": NEW}
    assert "All other browsers are logged out." in client.post("/account/password", form, follow=True).text
    assert client.get("/account").status_code == 200
    assert other.get("/account").status_code == 302
