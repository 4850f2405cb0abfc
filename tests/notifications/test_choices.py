"""What people want to hear of, and the page on which they say so."""

import pytest
from django.test import Client

from accounts.models import User
from notifications import choices
from notifications.models import Channel, Choice, Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(client: Client) -> User:
    """Who is logged in."""
    user = User.objects.create_user("ann@example.com")
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return user


def everything_but(*left_out: str) -> dict[str, str]:
    """The form as a browser sends it: the boxes that are ticked."""
    names = [f"{event}:{channel}" for event, channel in choices.defaults()]
    return {name: "on" for name in names if name not in left_out}


def test_the_page_shows_what_holds_and_keeps_what_is_chosen(client: Client, ann: User) -> None:
    page = client.get("/notifications/settings").text
    assert page.count('type="checkbox"') == len(choices.defaults())
    assert page.count(" checked") == sum(choices.defaults().values())

    answer = client.post("/notifications/settings", everything_but("job.dead:mail", "news:mail"), follow=True)
    assert "Your choices are kept." in answer.text
    assert not choices.wants(ann, Event.JOB_DEAD, Channel.MAIL)
    assert choices.wants(ann, Event.JOB_SUCCEEDED, Channel.MAIL)
    assert choices.wants(ann, Event.JOB_DEAD, Channel.WEBHOOK)


def test_a_default_that_changes_holds_for_all_who_have_not_decided_otherwise(
    client: Client, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/notifications/settings", everything_but("job.succeeded:mail", "news:mail"))
    assert not Choice.objects.exists(), "only differences are stored"
    monkeypatch.setitem(choices.DEFAULTS[Event.NEWS], Channel.MAIL, True)
    assert choices.wants(ann, Event.NEWS, Channel.MAIL)


def test_nobody_left_a_box_unticked_for_others(client: Client, ann: User) -> None:
    bob = User.objects.create_user("bob@example.com")
    client.post("/notifications/settings", {})
    assert not any(choices.of(ann).values())
    assert choices.of(bob) == choices.defaults()


@pytest.mark.parametrize("event", [Event.DAILY_SUMMARY, Event.NEWS])
def test_many_people_are_asked_in_one_query(event: Event, django_assert_num_queries) -> None:
    ann, bob, eve = (User.objects.create_user(f"{name}@example.com") for name in ("ann", "bob", "eve"))
    choices.choose(ann, event, Channel.MAIL, True)
    choices.choose(bob, event, Channel.MAIL, False)
    choices.choose(eve, event, Channel.MAIL, not choices.default(event, Channel.MAIL))
    choices.choose(eve, event, Channel.MAIL, choices.default(event, Channel.MAIL))
    with django_assert_num_queries(1):
        told = set(choices.those_who_want(event, Channel.MAIL))
    assert told == {ann, eve} if choices.default(event, Channel.MAIL) else told == {ann}
    assert set(choices.those_who_want(event, Channel.MAIL, User.objects.exclude(pk=ann.pk))) == told - {ann}


def test_strangers_are_sent_to_log_in(client: Client) -> None:
    assert client.get("/notifications/settings")["location"] == "/login?next=/notifications/settings"
