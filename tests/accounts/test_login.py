"""Guessing passwords is slowed down, for whoever guesses and for nobody else."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.db.models import F
from django.test import Client

from accounts.models import User

pytestmark = pytest.mark.django_db

RIGHT, WRONG = "a password of the tests", "a guess"


@pytest.fixture(autouse=True)
def people(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a fast one
    for name in ("ann", "bob"):
        User.objects.create_user(f"{name}@example.com", RIGHT)


def log_in(password: str, email: str = "ann@example.com", ip: str = "192.0.2.1"):
    return Client(REMOTE_ADDR=ip).post("/login", {"username": email, "password": password})


def guess(times: int) -> int:
    """Guess so many times, and return how the last guess was answered."""
    return [log_in(WRONG).status_code for _ in range(times)][-1]


def test_the_fifth_wrong_password_is_one_too_many() -> None:
    assert guess(4) == 200
    assert guess(1) == 429
    answer = log_in(RIGHT)
    assert answer.status_code == 429
    assert 14 * 60 < int(answer["retry-after"]) <= 15 * 60
    assert "You can try again in 15\xa0minutes." in answer.text.replace("15 minutes", "15\xa0minutes")
    assert log_in(RIGHT, "ANN@example.com").status_code == 429, "it is the same account"


def test_others_log_in_as_ever() -> None:
    guess(5)
    assert log_in(RIGHT, ip="192.0.2.2").status_code == 302, "from elsewhere"
    assert log_in(RIGHT, "bob@example.com").status_code == 302, "another account"


def test_trying_while_locked_out_does_not_make_it_longer() -> None:
    guess(5)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=10))
    assert 4 * 60 < int(log_in(WRONG)["retry-after"]) <= 5 * 60


def test_after_the_wait_all_is_forgotten() -> None:
    guess(5)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=15))
    assert log_in(RIGHT).status_code == 302
    assert not AccessAttempt.objects.exists()


def test_logging_in_makes_up_for_wrong_passwords() -> None:
    guess(4)
    assert log_in(RIGHT).status_code == 302
    assert guess(4) == 200


def test_the_admin_is_guarded_too() -> None:
    guess(5)
    form = {"username": "ann@example.com", "password": RIGHT}
    assert Client(REMOTE_ADDR="192.0.2.1").post("/admin/login/", form).status_code == 429


def test_no_password_is_kept() -> None:
    guess(1)
    assert WRONG not in str(AccessAttempt.objects.values().get())
