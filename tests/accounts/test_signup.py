"""Signing up: one account per person, and one job that welcomes them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from accounts import signup
from accounts.models import User
from jobs.models import Job

pytestmark = pytest.mark.django_db

PASSWORD = "a password of the tests"


def sign_up(client: Client, email: str, password: str = PASSWORD):
    return client.post("/signup", {"email": email, "password": password})


def test_whoever_signs_up_is_logged_in_and_will_be_welcomed(client: Client) -> None:
    answer = sign_up(client, "ann@Example.com")
    assert (answer.status_code, answer["location"]) == (302, "/")
    ann = User.objects.get(email="ann@example.com")
    assert client.session["_auth_user_id"] == str(ann.pk)
    job = Job.objects.get()
    assert (job.task, job.queue, job.owner, job.key) == ("mail.send_message", "mail", ann, f"welcome:{ann.pk}")
    assert PASSWORD not in str(job.args)


def test_an_address_has_one_account_however_it_is_written(client: Client) -> None:
    User.objects.create_user("ann@example.com")
    answer = sign_up(client, "ANN@example.com")
    assert answer.status_code == 200
    assert "This address has an account." in answer.text
    assert 'href="/login"' in answer.text and 'href="/password-reset"' in answer.text
    assert User.objects.count() == 1 and not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_sign_up_at_once_get_one_account_and_one_welcome() -> None:
    def attempt(number: int) -> bool:
        try:
            signup.sign_up(["ann@example.com", "Ann@example.com"][number % 2], PASSWORD)
        except signup.AddressTaken:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as people:
        assert sorted(people.map(attempt, range(4))) == [False, False, False, True]
    assert (User.objects.count(), Job.objects.count()) == (1, 1)


def test_the_page_says_so_when_somebody_was_faster(client: Client, monkeypatch) -> None:
    def too_late(email: str, password: str) -> None:
        raise signup.AddressTaken(email)

    monkeypatch.setattr(signup, "sign_up", too_late)
    assert "This address has an account." in sign_up(client, "ann@example.com").text


@pytest.mark.django_db(transaction=True)
def test_without_its_welcome_there_is_no_account(monkeypatch) -> None:
    def fail(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(signup.send_message, "enqueue", fail)
    with pytest.raises(ZeroDivisionError):
        signup.sign_up("ann@example.com", PASSWORD)
    assert not User.objects.exists()


@pytest.mark.parametrize("password", ["short", "password", "12345678901", "ann@example.com"])
def test_weak_passwords_are_refused_with_a_reason(client: Client, password: str) -> None:
    answer = sign_up(client, "ann@example.com", password)
    assert answer.context["form"].errors.keys() == {"password"}
    assert not User.objects.exists()


def test_whoever_is_logged_in_has_signed_up(client: Client) -> None:
    client.force_login(User.objects.create_user("ann@example.com"), "django.contrib.auth.backends.ModelBackend")
    assert client.get("/signup").status_code == 302
