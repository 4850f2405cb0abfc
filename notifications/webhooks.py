"""What an owner may do with endpoints, and how events come to them."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from jobs.api import JobOut
from jobs.models import WAITING, Job
from notifications import choices, outbound
from notifications.models import Channel, Delivery, Endpoint, Event
from notifications.signing import new_seed
from notifications.tasks import deliver, replay_deliveries

EVENTS = [event for event in choices.DEFAULTS if Channel.WEBHOOK in choices.DEFAULTS[event]]
TEST = "endpoint.test"
MOST = 20  # endpoints of one owner
OVERLAP = timedelta(hours=24)  # in which both secrets sign


class Refused(ValueError):
    """What is asked for cannot be done. The message says why."""


# --- endpoints ---


def create(owner: Any, url: str, events: Iterable[str]) -> Endpoint:
    """Raises Refused."""
    if Endpoint.objects.filter(owner=owner).count() >= MOST:
        raise Refused(f"You have {MOST} endpoints. Delete one that you do not need.")
    return Endpoint.objects.create(owner=owner, url=checked(url), events=known(events))


def change(endpoint: Endpoint, url: str, events: Iterable[str]) -> None:
    """Raises Refused."""
    endpoint.url, endpoint.events = checked(url), known(events)
    endpoint.save(update_fields=["url", "events"])


def enable(endpoint: Endpoint) -> None:
    """Send there again what happens from now on. What was missed can be replayed."""
    fresh = {"disabled_at": None, "disabled_because": "", "failing_since": None, "not_before": None}
    Endpoint.objects.filter(pk=endpoint.pk).update(**fresh)


def disable(endpoint: Endpoint) -> None:
    """As the owner wishes, so nobody needs to be told."""
    Endpoint.objects.enabled().filter(pk=endpoint.pk).update(disabled_at=Now(), disabled_because="You disabled it.")


def rotate(endpoint: Endpoint) -> None:
    """Make a new secret. For a while, the one before signs too."""
    endpoint.previous_seed, endpoint.seed = endpoint.seed, new_seed()
    endpoint.previous_until = timezone.now() + OVERLAP
    endpoint.save(update_fields=["seed", "previous_seed", "previous_until"])


def checked(url: str) -> str:
    """The host's addresses are looked at whenever something is sent: they may change. Raises Refused."""
    try:
        outbound.check(url, settings.WEBHOOKS_TO_LOOPBACK)
    except outbound.BadAddress as refusal:
        raise Refused(str(refusal)) from refusal
    return url


def known(events: Iterable[str]) -> list[str]:
    chosen = set(events)
    if not chosen or not chosen <= set(EVENTS):
        raise Refused(f"Choose at least one event: {', '.join(EVENTS)}.")
    return [event for event in EVENTS if event in chosen]


# --- events ---


def announce(job: Job, event: Event) -> None:
    """Have the owner's endpoints hear of the end of a job. To be called once, in a transaction."""
    endpoints = [one for one in Endpoint.objects.enabled().filter(owner=job.owner_id) if event in one.events]
    if endpoints:
        body = payload(event, job.finished_at or timezone.now(), about(job))
        _send(endpoints, f"evt_{job.pk.hex}_{job.version}", event, body)


def test(endpoint: Endpoint) -> Delivery:
    """Send an event that says nothing."""
    body = payload(TEST, timezone.now(), {"endpoint": str(endpoint.pk)})
    with transaction.atomic():
        [delivery] = _send([endpoint], f"evt_{uuid4().hex}", TEST, body)
    return delivery


def about(job: Job) -> dict[str, Any]:
    """Ids and links, no more: who wants to know asks the API, and gets the truth of that moment."""
    return {
        "id": str(job.pk),
        "task": job.task,
        "state": job.state,
        "version": job.version,
        "links": {name: f"{settings.SITE_URL}{path}" for name, path in JobOut.resolve_links(job).items()},
    }


def payload(event: str, at: datetime, data: dict[str, Any]) -> str:
    return json.dumps({"type": event, "timestamp": at.isoformat(), "data": data}, separators=(",", ":"))


def _send(endpoints: list[Endpoint], webhook_id: str, event: str, body: str) -> list[Delivery]:
    made = [Delivery(endpoint=one, webhook_id=webhook_id, event=event, body=body) for one in endpoints]
    for delivery in made:
        delivery.job = deliver.job(delivery_id=str(delivery.pk), key=f"{delivery.pk}:0")
    deliver.enqueue_many([delivery.job for delivery in made if delivery.job])
    return Delivery.objects.bulk_create(made)


# --- replays ---


def replay(delivery: Delivery) -> bool:
    """Send it anew, or at once if it waits for its next try. False: it is being sent just now."""
    with transaction.atomic():
        waiting = Job.objects.filter(delivery=delivery.pk, state__in=WAITING)
        if waiting.change(run_at=Now(), published_at=None):
            return True
        finished = Delivery.objects.filter(pk=delivery.pk, replays=delivery.replays, job=delivery.job_id)
        if delivery.job and not delivery.job.finished:
            return False
        job = deliver.enqueue(delivery_id=str(delivery.pk), key=f"{delivery.pk}:{delivery.replays + 1}")
        finished.update(job=job, replays=F("replays") + 1, tries=0, delivered_at=None)
    return True


def replay_range(endpoint: Endpoint, since: datetime, until: datetime, undelivered_only: bool = True) -> Job:
    """Have a job replay what happened in this time. Raises Refused."""
    if since >= until:
        raise Refused("The time has to end after it begins.")
    return replay_deliveries.enqueue(
        endpoint_id=str(endpoint.pk),
        since=since.isoformat(),
        until=until.isoformat(),
        undelivered_only=undelivered_only,
        owner=endpoint.owner,
    )


def in_range(endpoint_id: str, since: datetime, until: datetime, undelivered_only: bool) -> Iterator[Delivery]:
    """What is to be replayed, the oldest first."""
    deliveries = Delivery.objects.filter(endpoint=UUID(endpoint_id), created_at__gte=since, created_at__lt=until)
    if undelivered_only:
        deliveries = deliveries.filter(delivered_at=None)
    for pk in list(deliveries.order_by("created_at", "pk").values_list("pk", flat=True)):
        yield from Delivery.objects.select_related("job").filter(pk=pk)
