"""The bell: what has finished lately, and how much of it was not seen."""

import re

import pytest
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from jobs.models import Job, State
from notifications import bell, choices
from notifications.models import Channel, Event
from tests.notifications.finished import finished, run
from tests.trial.tasks import make_thing, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(client: Client) -> User:
    """Who is logged in."""
    user = User.objects.create_user("ann@example.com")
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return user


def label(client: Client, path: str = "/account") -> str:
    return re.search(r'aria-label="(Notifications[^"]*)"\s*>\s*<svg', client.get(path).text)[1]


def test_what_finished_is_counted_on_every_page_until_it_was_seen(client: Client, ann: User) -> None:
    assert label(client) == "Notifications"
    finished(ann)
    finished(ann, good=False)
    run(record.enqueue(number=1, owner=ann))
    finished(User.objects.create_user("bob@example.com"))
    assert label(client) == label(client) == label(client, "/notifications/unseen") == "Notifications: 2 new"

    page = client.get("/notifications/").text
    assert page.index("Make thing: failed") < page.index("Make thing: done")
    assert "The thing &lt;b&gt;broke&lt;/b&gt;." in page and page.count('class="new"') == 2
    assert label(client) == "Notifications"
    assert 'class="new"' not in client.get("/notifications/").text, "and they are still listed"


def test_what_finishes_while_one_looks_is_not_taken_for_seen(client: Client, ann: User) -> None:
    finished(ann)
    shown = bell.recent(ann)
    finished(ann)
    bell.look(ann, shown)
    assert label(client) == "Notifications: 1 new"


def test_a_job_that_was_requeued_is_not_said_to_be_dead(client: Client, ann: User) -> None:
    job = finished(ann, good=False)
    Job.objects.filter(pk=job.pk).requeue()
    assert label(client) == "Notifications"
    assert "failed" not in client.get("/notifications/").text


def test_what_is_not_wanted_in_the_browser_does_not_ring(client: Client, ann: User) -> None:
    choices.choose(ann, Event.JOB_SUCCEEDED, Channel.BROWSER, False)
    finished(ann)
    finished(ann, good=False)
    assert label(client) == "Notifications: 1 new"
    assert "done" not in client.get("/notifications/").text


def test_counting_has_an_end(client: Client, ann: User) -> None:
    made = [make_thing.job(owner=ann) for _ in range(bell.COUNTED + 20)]
    make_thing.enqueue_many(made)
    Job.objects.update(state=State.SUCCEEDED, finished_at=Now())
    assert label(client) == "Notifications: 99+ new"


def test_strangers_have_no_bell(client: Client) -> None:
    assert "data-bell" not in client.get("/login").text
    for path in ("/notifications/", "/notifications/unseen"):
        assert client.get(path)["location"].startswith("/login")
