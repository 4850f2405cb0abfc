"""Webhooks as Standard Webhooks says, tried by its own library, one attempt at a time in this process."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from accounts import tokens
from accounts.models import User
from jobs.models import Job, State
from notifications import choices, delivering, telling, webhooks
from notifications.models import Channel, Delivery, Endpoint, Event
from notifications.tasks import deliver, forget_deliveries
from tests.notifications.finished import finished, run
from tests.notifications.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def ann(settings: Any) -> User:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.WEBHOOKS_TO_LOOPBACK = True
    settings.WEBHOOK_TIMEOUT = 0.5
    settings.SITE_URL = "https://night.example"
    return User.objects.create_user("ann@example.com")


@pytest.fixture
def endpoint(ann: User, receiver: Receiver) -> Endpoint:
    return webhooks.create(ann, receiver.url, webhooks.EVENTS)


def told(owner: User, good: bool = True) -> Job:
    """A job of this owner has ended, and this has been told."""
    job = finished(owner, good)
    telling.tell(job)
    return job


def tried(delivery: Delivery | None = None) -> Delivery:
    """One try to deliver the only one there is, or this one."""
    delivery = Delivery.objects.get(pk=delivery.pk) if delivery else Delivery.objects.get()
    assert delivery.job
    run(delivery.job)
    return Delivery.objects.select_related("job", "endpoint").get(pk=delivery.pk)


# --- what is sent ---


def test_an_event_is_thin_signed_and_delivered_once(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    job = told(ann)
    delivery = tried()

    [event] = receiver.verified(endpoint.secret)
    assert event["type"] == "job.succeeded"
    assert event["timestamp"] == job.finished_at.isoformat()
    assert event["data"] == {
        "id": str(job.pk),
        "task": "tests.trial.make_thing",
        "state": "succeeded",
        "version": job.version,
        "links": {"self": f"https://night.example/api/jobs/{job.pk}", "page": "https://night.example/videos/"},
    }
    assert (delivery.state, delivery.log[0]["status"]) == ("delivered", 204)
    assert delivery.job.state == State.SUCCEEDED
    telling.tell(job)
    assert Delivery.objects.count() == 1


def test_another_secret_body_or_id_is_not_verified(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    told(ann)
    tried()
    [(headers, body)] = receiver.requests
    other = webhooks.create(ann, receiver.url, webhooks.EVENTS)
    for secret, given, sent in (
        (other.secret, headers, body),
        (endpoint.secret, headers, body.replace(b"succeeded", b"suceeeded")),
        (endpoint.secret, {**headers, "webhook-id": "evt_other"}, body),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(sent, given)


def test_an_endpoint_hears_what_it_asked_for_and_what_its_owner_wants(ann: User, receiver: Receiver) -> None:
    webhooks.create(ann, receiver.url, [Event.JOB_DEAD])
    webhooks.create(User.objects.create_user("bob@example.com"), receiver.url, webhooks.EVENTS)
    told(ann, good=True)
    assert not Delivery.objects.exists()
    choices.choose(ann, Event.JOB_DEAD, Channel.WEBHOOK, False)
    told(ann, good=False)
    assert not Delivery.objects.exists()
    choices.choose(ann, Event.JOB_DEAD, Channel.WEBHOOK, True)
    told(ann, good=False)
    assert Delivery.objects.get().endpoint.owner == ann


# --- secrets ---


def test_while_a_secret_changes_both_sign_and_then_only_the_new_one(
    ann: User, receiver: Receiver, endpoint: Endpoint
) -> None:
    before = endpoint.secret
    webhooks.rotate(endpoint)
    assert endpoint.secret != before
    told(ann)
    tried()
    assert receiver.verified(before) == receiver.verified(endpoint.secret)

    Endpoint.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    receiver.requests.clear()
    webhooks.replay(Delivery.objects.select_related("job").get())
    tried()
    assert receiver.verified(endpoint.secret)
    with pytest.raises(WebhookVerificationError):
        receiver.verified(before)


def test_no_secret_is_in_the_database(endpoint: Endpoint, settings: Any) -> None:
    kept = json.dumps(list(Endpoint.objects.values()), default=str)
    assert endpoint.secret.removeprefix("whsec_") not in kept
    before = endpoint.secret
    settings.WEBHOOK_KEY = "another"
    assert endpoint.secret != before, "it takes the key of the environment, too"


# --- failures of others ---


@pytest.mark.parametrize("behaviour", [500, 404, 301, "drop", "hang", (503, {"Retry-After": "1"})])
def test_a_failure_is_a_fact_in_the_log_and_the_next_try_is_planned(
    ann: User, receiver: Receiver, endpoint: Endpoint, behaviour: Any
) -> None:
    receiver.behaving = [behaviour]
    told(ann)
    delivery = tried()
    assert delivery.state == "waiting"
    assert 4 < (delivery.next_try - timezone.now()).total_seconds() < 6.5
    [said] = delivery.log
    assert said["answer"] == "That is what I say." if said["status"] else said["problem"]
    assert delivery.endpoint.failing_since

    Endpoint.objects.update(not_before=None)
    delivery = tried()
    assert delivery.state == "delivered"
    assert receiver.ids() == {delivery.webhook_id: 2}, "the same event"
    assert delivery.endpoint.failing_since is None


def test_tries_go_on_for_three_days_and_end(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.always = 500
    told(ann)
    waited = timedelta(0)
    for planned in delivering.SCHEDULE:
        delivery = tried()
        delay = delivery.next_try - timezone.now()
        assert planned * 0.95 <= delay <= planned * (1 + delivering.JITTER)
        waited += planned
    assert waited == timedelta(hours=75, minutes=35, seconds=5), "as Standard Webhooks has it"
    delivery = tried()
    assert delivery.state == "given up"
    assert delivery.job.state == State.SUCCEEDED, "it is no failure of ours"
    assert len(receiver.requests) == len(delivery.log) == 10


def test_a_pause_that_is_asked_for_is_kept_by_all_that_goes_there(
    ann: User, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.behaving = [(429, {"Retry-After": "3600"})]
    told(ann)
    delivery = tried()
    assert timedelta(minutes=59) < delivery.next_try - timezone.now() <= timedelta(hours=1)

    told(ann)
    other = tried(Delivery.objects.exclude(pk=delivery.pk).get())
    assert (other.state, other.log, len(receiver.requests)) == ("waiting", [], 1)
    assert other.next_try - timezone.now() > timedelta(minutes=59)
    assert other.job.attempt == 0, "it has not been tried"


def test_a_pause_longer_than_a_day_is_not_kept(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.behaving = [(429, {"Retry-After": str(365 * 24 * 3600)})]
    told(ann)
    assert tried().next_try - timezone.now() <= timedelta(days=1)


def test_who_is_gone_for_good_is_disabled_and_their_owner_told(
    ann: User, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.behaving = [410]
    told(ann)
    assert tried().state == "given up"
    endpoint.refresh_from_db()
    assert endpoint.disabled_at and "410" in endpoint.disabled_because
    run(Job.objects.get(task="mail.send_message"))
    assert [one.to for one in mail.outbox] == [["ann@example.com"]]
    assert receiver.url in mail.outbox[0].body and "410" in mail.outbox[0].body

    told(ann)
    assert Delivery.objects.count() == 1, "nothing is sent there any more"


def test_who_fails_for_days_is_disabled_and_one_bad_hour_disables_nobody(
    ann: User, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.always = 500
    told(ann)
    tried()
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=4))
    tried()
    assert Endpoint.objects.enabled().exists()
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=5, seconds=1))
    tried()
    endpoint.refresh_from_db()
    assert "for 5 days" in endpoint.disabled_because
    assert Job.objects.filter(task="mail.send_message").count() == 1
    assert tried().state == "given up" and len(receiver.requests) == 3

    webhooks.enable(endpoint)
    receiver.always = 204
    webhooks.replay(Delivery.objects.select_related("job").get())
    assert tried().state == "delivered"


def test_an_address_that_is_not_public_is_refused_when_it_is_sent_to(
    ann: User, receiver: Receiver, endpoint: Endpoint, settings: Any
) -> None:
    settings.WEBHOOKS_TO_LOOPBACK = False
    Endpoint.objects.update(url=receiver.url.replace("http:", "https:"))
    told(ann)
    assert "not public" in tried().log[0]["problem"]
    assert not receiver.requests


# --- one endpoint leaves workers for the others ---


def test_only_so_many_are_sent_to_one_endpoint_at_once(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    for _ in range(3):
        told(ann)
    first, second, third = Delivery.objects.order_by("created_at").select_related("job")
    for running in (first, second):
        Job.objects.filter(pk=running.job.pk).start("another worker")
    third = tried(third)
    assert (third.state, third.log, third.job.attempt) == ("waiting", [], 0)

    Job.objects.filter(pk=first.job.pk).cancel()
    assert tried(third).state == "delivered"


# --- replays ---


def test_what_was_delivered_is_sent_again_under_its_id(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    told(ann)
    delivery = tried()
    assert webhooks.replay(delivery) and webhooks.replay(delivery), "pressed twice"
    assert tried().state == "delivered"
    assert receiver.ids() == {delivery.webhook_id: 2}
    assert receiver.requests[0][1] == receiver.requests[1][1]


def test_what_is_being_sent_is_not_sent_beside_it(ann: User, endpoint: Endpoint) -> None:
    told(ann)
    delivery = Delivery.objects.select_related("job").get()
    Job.objects.filter(pk=delivery.job.pk).start("another worker")
    delivery.job.refresh_from_db()
    assert not webhooks.replay(delivery)
    assert Job.objects.filter(task=deliver.name).count() == 1


def test_a_range_is_replayed_without_what_was_delivered(ann: User, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.behaving = [204, 410]
    for _ in range(3):
        told(ann)
    done, gone, old = Delivery.objects.order_by("created_at")
    tried(done), tried(gone)
    Delivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    tried(old)  # nothing is sent: it is disabled
    webhooks.enable(endpoint)

    since = timezone.now() - timedelta(days=1)
    assert run(webhooks.replay_range(endpoint, since, timezone.now())).result == {"replayed": 1}
    assert tried(gone).state == "delivered"
    assert run(webhooks.replay_range(endpoint, since, timezone.now(), undelivered_only=False)).result == {"replayed": 2}
    assert [tried(one).state for one in (done, gone, old)] == ["delivered", "delivered", "given up"]
    assert receiver.ids() == {done.webhook_id: 2, gone.webhook_id: 3}


def test_deliveries_are_forgotten_after_a_month(ann: User, endpoint: Endpoint) -> None:
    told(ann)
    run(forget_deliveries.enqueue())
    assert Delivery.objects.exists()
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    run(forget_deliveries.enqueue())
    assert not Delivery.objects.exists()


# --- the API ---


@pytest.fixture
def api(client: Client, ann: User) -> Client:
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {tokens.create(ann, 'tests')}"
    return client


def test_an_endpoint_by_the_api(api: Client, ann: User, receiver: Receiver) -> None:
    made = api.post("/api/webhooks", {"url": receiver.url}, content_type="application/json")
    assert made.status_code == 201 and made.json()["events"] == ["job.succeeded", "job.dead"]
    secret, path = made.json()["secret"], f"/api/webhooks/{made.json()['id']}"
    assert "secret" not in api.get(path).json() and "secret" not in api.get("/api/webhooks").json()[0]

    sent = api.post(f"{path}/test")
    assert (sent.status_code, sent.json()["state"]) == (201, "waiting")
    tried()
    [event] = receiver.verified(secret)
    assert event["type"] == "endpoint.test"
    [logged] = api.get(f"{path}/deliveries").json()
    assert logged["state"] == "delivered" and logged["log"][0]["status"] == 204
    assert api.post(f"{path}/deliveries/{logged['id']}/replay").status_code == 200
    tried()
    assert len(receiver.requests) == 2

    assert api.post(f"{path}/secret").json()["secret"] != secret
    changed = api.patch(path, {"events": ["job.dead"], "enabled": False}, content_type="application/json").json()
    assert (changed["events"], changed["enabled"]) == (["job.dead"], False)
    assert api.post(f"{path}/test").status_code == 409
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_a_range_by_the_api(api: Client, endpoint: Endpoint) -> None:
    path = f"/api/webhooks/{endpoint.pk}/replay"
    asked = {"since": "2026-01-01T00:00:00Z", "until": "2126-01-01T00:00:00Z"}
    answer = api.post(path, asked, content_type="application/json")
    assert answer.status_code == 202 and answer.json()["task"] == "notifications.replay_deliveries"
    for wrong in ({**asked, "until": "2025-01-01T00:00:00Z"}, {**asked, "since": "2026-01-01T00:00:00"}, {}):
        assert api.post(path, wrong, content_type="application/json").status_code == 422


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"url": "https://user:pw@example.com/"}, "No name or password"),
        ({"url": "ftp://example.com/"}, "https://"),
        ({"url": "https://example.com/", "events": []}, "at least one"),
        ({"url": "https://example.com/", "events": ["job.started"]}, "at least one"),
    ],
)
def test_what_is_wrong_is_said(api: Client, asked: dict[str, Any], words: str) -> None:
    answer = api.post("/api/webhooks", asked, content_type="application/json")
    assert answer.status_code == 422 and words in answer.json()["detail"]


def test_endpoints_are_not_without_end(ann: User, receiver: Receiver) -> None:
    for _ in range(webhooks.MOST):
        webhooks.create(ann, receiver.url, webhooks.EVENTS)
    with pytest.raises(webhooks.Refused, match="20 endpoints"):
        webhooks.create(ann, receiver.url, webhooks.EVENTS)


def test_what_is_of_others_is_not_there(api: Client, receiver: Receiver, settings: Any) -> None:
    bob = User.objects.create_user("bob@example.com")
    endpoint = webhooks.create(bob, receiver.url, webhooks.EVENTS)
    delivery = webhooks.test(endpoint)
    path = f"/api/webhooks/{endpoint.pk}"
    asked = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    answers = [
        api.get(path),
        api.patch(path, {"enabled": False}, content_type="application/json"),
        api.delete(path),
        api.post(f"{path}/secret"),
        api.post(f"{path}/test"),
        api.get(f"{path}/deliveries"),
        api.post(f"{path}/deliveries/{delivery.pk}/replay"),
        api.post(f"{path}/replay", asked, content_type="application/json"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert api.get("/api/webhooks").json() == []

    settings.LOGIN_URL = "login"
    api.force_login(User.objects.get(email="ann@example.com"), "django.contrib.auth.backends.ModelBackend")
    page = f"/notifications/webhooks/{endpoint.pk}"
    acts = ("change", "enable", "disable", "secret", "test", "replay", "delete", f"{delivery.pk}/replay")
    pages = [api.get(page), api.get(f"{page}/{delivery.pk}"), *(api.post(f"{page}/{act}") for act in acts)]
    assert {answer.status_code for answer in pages} == {404}
    assert Endpoint.objects.enabled().get() == endpoint


# --- the pages ---


@pytest.fixture
def browsing(client: Client, ann: User) -> Client:
    client.force_login(ann, "django.contrib.auth.backends.ModelBackend")
    return client


def test_the_secret_is_shown_once(browsing: Client, ann: User, receiver: Receiver) -> None:
    form = {"url": receiver.url, "events": ["job.succeeded"]}
    shown = browsing.post("/notifications/webhooks", form)
    endpoint = Endpoint.objects.get()
    assert endpoint.secret in shown.text and "no-store" in shown["cache-control"]
    assert endpoint.secret not in browsing.get(endpoint.get_absolute_url()).text
    assert endpoint.url in browsing.get("/notifications/webhooks").text

    before = endpoint.secret
    shown = browsing.post(f"{endpoint.get_absolute_url()}/secret")
    endpoint.refresh_from_db()
    assert endpoint.secret in shown.text and before not in shown.text


def test_the_log_shows_request_and_answer(browsing: Client, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.behaving = [500]
    sent = browsing.post(f"{endpoint.get_absolute_url()}/test")
    delivery = tried()
    page = browsing.get(sent["location"]).text
    assert delivery.webhook_id in page and "That is what I say." in page and "500" in page
    assert "endpoint.test" in browsing.get(endpoint.get_absolute_url()).text


def test_what_is_wrong_is_said_on_the_page(browsing: Client, endpoint: Endpoint) -> None:
    assert "https://" in browsing.post("/notifications/webhooks", {"url": "ftp://x/", "events": ["job.dead"]}).text
    answer = browsing.post(f"{endpoint.get_absolute_url()}/change", {"url": endpoint.url, "events": []})
    assert "Choose at least one." in answer.text
    times = {"since": "2026-01-02T00:00", "until": "2026-01-01T00:00"}
    assert "has to end after" in browsing.post(f"{endpoint.get_absolute_url()}/replay", times).text
