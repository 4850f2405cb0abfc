"""The account page: what is about oneself, and nobody else's."""

import re
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from accounts import tokens
from accounts.models import Token, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(client: Client) -> User:
    """Who is logged in."""
    user = User.objects.create_user("ann@example.com")
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return user


def test_a_name_is_kept(client: Client, ann: User) -> None:
    answer = client.post("/account/name", {"first_name": "Ann", "last_name": "Lee"}, follow=True)
    assert "Your name is kept." in answer.text
    ann.refresh_from_db()
    assert ann.get_full_name() == "Ann Lee"
    answer = client.post("/account/name", {"first_name": "x" * 151, "last_name": ""})
    assert "at most 150 characters" in answer.text


def test_a_token_is_shown_once_and_works(client: Client, ann: User) -> None:
    answer = client.post("/account/tokens", {"name": "laptop"})
    assert "no-store" in answer["cache-control"]
    secret = re.search(r"nightshift_[\w-]+", answer.text)[0]
    assert tokens.user_of(secret) == ann
    page = client.get("/account").text
    assert "laptop" in page and secret not in page


def test_a_token_needs_a_name(client: Client, ann: User) -> None:
    assert "This field is required." in client.post("/account/tokens", {"name": ""}).text
    assert not Token.objects.exists()


def test_a_revoked_token_works_no_more(client: Client, ann: User) -> None:
    secret = tokens.create(ann, "laptop")
    client.post(f"/account/tokens/{ann.tokens.get().pk}/revoke")
    assert tokens.user_of(secret) is None


def test_tokens_of_others_are_neither_shown_nor_revoked(client: Client, ann: User) -> None:
    tokens.create(User.objects.create_user("bob@example.com"), "bob's own")
    assert "bob" not in client.get("/account").text
    assert client.post(f"/account/tokens/{Token.objects.get().pk}/revoke").status_code == 404
    assert Token.objects.exists()


def test_the_page_says_when_a_token_was_last_used(client: Client, ann: User, django_assert_num_queries) -> None:
    secret = tokens.create(ann, "laptop")
    assert "never used" in client.get("/account").text
    with django_assert_num_queries(2):
        tokens.user_of(secret)
    with django_assert_num_queries(1):
        tokens.user_of(secret)
    assert "last used" in client.get("/account").text
    Token.objects.update(last_used_at=F("last_used_at") - timedelta(hours=1))
    tokens.user_of(secret)
    assert Token.objects.get().last_used_at > Token.objects.get().created_at


@pytest.mark.parametrize("path", ["name", "tokens", "tokens/1/revoke", "password"])
def test_strangers_are_sent_to_log_in(client: Client, path: str) -> None:
    assert client.post(f"/account/{path}")["location"] == f"/login?next=/account/{path}"
