"""One try to deliver, and what follows from its answer.

As Standard Webhooks suggests: any 2xx is a success and all else is none; tries are repeated for three days and a bit;
410 means that nobody wants to hear of us any more; who answers 429, 502, 503, 504 or not in time is spared for a while;
and who fails for days is not tried any more, and their owner is told. Failures of others are facts on the row, and none
of our jobs fails of them.
"""

import random
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from jobs.models import Job, State
from mail.tasks import send_message
from notifications import outbound, signing
from notifications.models import Delivery, Endpoint

# After which failed try comes the next; none comes after the last.
SCHEDULE = [
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
]
JITTER = 0.2  # of each of these, at most, on top of it
LONGEST_PAUSE = timedelta(hours=24)  # that an answer may ask for
DISABLED_AFTER = timedelta(days=5)  # in which all tries failed
AT_ONCE = 2  # tries to one endpoint, so that a slow one leaves workers for the others
OVERLOADED = (429, 502, 503, 504)
LOGGED = 20  # tries
COUNTED = 1000


class Undelivered(Exception):
    """The endpoint has not taken it. An attempt that operators may see, and need do nothing about."""


def turn_of(job: Job, endpoint: Endpoint) -> timedelta | None:
    """How long to wait until it may be this job's turn. None: it is.

    As long as the endpoint asked for, and in any case about as long as it takes to serve those who wait with it.
    """
    pause = max(endpoint.not_before - timezone.now(), timedelta(0)) if endpoint.not_before else timedelta(0)
    if not pause and _in_front_of(job, endpoint) < AT_ONCE:
        return None
    waiting = Job.objects.filter(delivery__endpoint=endpoint, state=State.QUEUED)[:COUNTED].count()
    return pause + timedelta(seconds=endpoint.took * (1 + waiting) / AT_ONCE * random.uniform(0.5, 1.5))


def _in_front_of(job: Job, endpoint: Endpoint) -> int:
    """How many are being sent that began before, in an order on which all agree who ask at once."""
    began_before = Q(started_at__lt=job.started_at) | Q(started_at=job.started_at, pk__lt=job.pk)
    running = Job.objects.filter(began_before, delivery__endpoint=endpoint, state=State.RUNNING)
    return running.exclude(pk=job.pk).count()  # which SQLite takes for earlier than itself: it keeps milliseconds


def attempt(delivery: Delivery) -> dict[str, Any]:
    """Send it once, and return what came of it, as it is kept in the log."""
    body = delivery.body.encode()
    at = timezone.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Nightshift-Webhooks",
        **signing.headers(delivery.webhook_id, int(at.timestamp()), body, delivery.endpoint.seeds),
    }
    said: dict[str, Any] = {"at": at.isoformat(), "status": None, "answer": "", "problem": "", "retry_after": None}
    began = time.monotonic()
    try:
        answer = outbound.post(
            delivery.endpoint.url, body, headers, settings.WEBHOOK_TIMEOUT, settings.WEBHOOKS_TO_LOOPBACK
        )
    except (outbound.Failed, outbound.BadAddress) as failure:
        said |= {"problem": str(failure), "late": isinstance(failure, outbound.TimedOut)}
    else:
        text = answer.body.decode(errors="replace").replace("\0", "�")
        said |= {"status": answer.status, "answer": text}
        if answer.retry_after is not None:
            said["retry_after"] = min(answer.retry_after, LONGEST_PAUSE).total_seconds()
    return {**said, "seconds": round(time.monotonic() - began, 3)}


def settle(job: Job, delivery: Delivery, said: dict[str, Any]) -> None:
    """Keep what came of the try, and end the job's attempt accordingly, both or neither. Raises LeaseLost."""
    if 200 <= (said["status"] or 0) < 300:
        with job.finishing():
            _keep(delivery, said, delivered_at=Now())
            _note(delivery.endpoint, said, failing_since=None, not_before=None)
        return
    delay = delay_after(delivery.tries + 1, said)
    if said["status"] == 410 or delay is None:
        with job.finishing():
            _failed(delivery, said)
        return
    with transaction.atomic():
        words = said["problem"] or f"The endpoint answered {said['status']}."
        job.retry(Undelivered(words), words, delay)
        _failed(delivery, said)


def delay_after(tries: int, said: dict[str, Any]) -> timedelta | None:
    """How long to wait after so many failed tries, the last of which said this. None: there is no next."""
    if tries > len(SCHEDULE):
        return None
    planned = SCHEDULE[tries - 1] * (1 + random.random() * JITTER)
    return max(planned, timedelta(seconds=said["retry_after"] or 0))


def disable(endpoint: Endpoint, because: str) -> bool:
    """Send nothing there any more, and tell the owner. Returns whether that is news."""
    with transaction.atomic():
        enabled = Endpoint.objects.enabled().filter(pk=endpoint.pk)
        news = enabled.update(disabled_at=timezone.now(), disabled_because=because)
        if news:
            endpoint.refresh_from_db()
            send_message.enqueue(
                template="notifications/messages/endpoint_disabled",
                to=endpoint.owner.email,
                context={"url": endpoint.url, "because": because, "path": endpoint.get_absolute_url()},
                owner=endpoint.owner,
                key=f"endpoint disabled:{endpoint.pk}@{endpoint.disabled_at}",
            )
    return bool(news)


def _failed(delivery: Delivery, said: dict[str, Any]) -> None:
    endpoint = delivery.endpoint
    _keep(delivery, said)
    pause = {}
    if said["status"] in OVERLOADED or said.get("late"):
        asked = timedelta(seconds=said["retry_after"] or settings.WEBHOOK_TIMEOUT)
        pause = {"not_before": timezone.now() + asked}
    _note(endpoint, said, **pause)
    Endpoint.objects.filter(pk=endpoint.pk, failing_since=None).update(failing_since=timezone.now())
    if said["status"] == 410:
        disable(endpoint, "It answered 410: it is gone for good.")
    elif endpoint.failing_since and timezone.now() - endpoint.failing_since > DISABLED_AFTER:
        disable(endpoint, f"Nothing could be delivered for {DISABLED_AFTER.days} days.")


def _keep(delivery: Delivery, said: dict[str, Any], **changes: Any) -> None:
    log = [*delivery.log, said][-LOGGED:]
    Delivery.objects.filter(pk=delivery.pk).update(log=log, tries=F("tries") + 1, **changes)


def _note(endpoint: Endpoint, said: dict[str, Any], **changes: Any) -> None:
    """How the endpoint behaves. Of how long it takes, the last time counts for a half."""
    Endpoint.objects.filter(pk=endpoint.pk).update(took=(F("took") + said["seconds"]) / 2, **changes)
