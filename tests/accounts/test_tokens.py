"""API tokens and the users made from the command line."""

import hashlib
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Token, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.com")


def run(*command: str) -> str:
    printed = StringIO()
    call_command(*command, stdout=printed)
    return printed.getvalue().strip()


def status(client, token: str) -> int:
    return client.get("/api/jobs", headers={"Authorization": f"Bearer {token}"}).status_code


def test_the_command_prints_a_token_that_works(client, ann):
    token = run("create_token", "ann@example.com")
    assert token.startswith("nightshift_") and len(token) > 40
    assert status(client, token) == 200
    assert status(client, token[:-1]) == 401


def test_only_a_digest_of_a_token_is_kept(ann):
    token = run("create_token", "ann@example.com", "--name", "laptop")
    [kept] = Token.objects.values()
    assert (kept["user_id"], kept["name"]) == (ann.pk, "laptop")
    assert kept["digest"] == hashlib.sha256(token.encode()).hexdigest()
    assert not [value for value in kept.values() if token in str(value)]


def test_an_address_is_found_however_it_is_written(client, ann):
    assert status(client, run("create_token", "Ann@Example.com")) == 200


def test_an_address_that_nobody_has_is_an_error_that_says_what_to_do():
    with pytest.raises(CommandError, match="No user has the address bob@example.com. Make one: python manage.py"):
        run("create_token", "bob@example.com")
    assert not Token.objects.exists()


def test_the_tokens_of_an_inactive_person_stop_working(client, ann):
    token = run("create_token", "ann@example.com")
    User.objects.update(is_active=False)
    assert status(client, token) == 401
    User.objects.update(is_active=True)
    assert status(client, token) == 200


def test_a_token_taken_away_stops_working_and_the_others_go_on(client, ann):
    first, second = (run("create_token", "ann@example.com") for _ in range(2))
    assert first != second
    Token.objects.order_by("pk").first().delete()
    assert (status(client, first), status(client, second)) == (401, 200)


def test_demo_users_can_log_in_and_are_made_once(settings):
    settings.DEBUG = True
    for _ in range(2):
        run("demo_users")
    assert User.objects.count() == 2
    assert User.objects.get(email="demo@example.com").check_password("demo")
    assert User.objects.get(email="admin@example.com").check_password("admin")
    assert [user.email for user in User.objects.filter(is_superuser=True)] == ["admin@example.com"]


def test_demo_users_have_known_passwords_so_production_has_none(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG is off"):
        run("demo_users")
    assert not User.objects.exists()
