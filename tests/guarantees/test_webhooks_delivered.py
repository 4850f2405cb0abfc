"""Every event reaches its endpoint, whatever the endpoint does and whichever worker dies.

`make chaos` runs the long form.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from jobs.models import UNFINISHED, Job, State
from notifications import webhooks
from notifications.models import Delivery, Endpoint
from notifications.tasks import tell_missed
from tests.client import new_email
from tests.notifications.receiver import Receiver
from tests.stack import Stack
from tests.trial.tasks import make_thing
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

EVENTS, KILLS = (150, 8) if os.environ.get("CHAOS") == "long" else (30, 2)
TIMEOUT = 1.0  # seconds that we wait for an endpoint

# Each of these is met at least once, and some after them.
FAULTS: list[Any] = ["drop", 500, (429, {"Retry-After": "1"}), "hang", "drip", "crawl", "flood", 404, 302]


@pytest.fixture(scope="module")
def site(make_module_stack: Any) -> Stack:
    return make_module_stack(
        only=["worker-quick", "worker-webhooks", "clock", "valkey"],
        JOB_LEASE_SECONDS="2",
        WEBHOOKS_TO_LOOPBACK="1",
        WEBHOOK_TIMEOUT_SECONDS=str(TIMEOUT),
    )


@pytest.fixture
def receivers() -> Iterator[Any]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Receiver().listening())


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.WEBHOOKS_TO_LOOPBACK = True


def make_things(owner: User, number: int) -> set[str]:
    """Returns the ids of the events that this will be."""
    jobs = [make_thing.job(owner=owner) for _ in range(number)]
    make_thing.enqueue_many(jobs)
    return {f"evt_{job.pk.hex}" for job in jobs}


def events(receiver: Receiver) -> set[str]:
    """Without the version of the job, which is another when a worker died."""
    return {webhook_id.rpartition("_")[0] for webhook_id in receiver.ids()}


def hours_pass() -> None:
    """For those that wait for their next try."""
    Endpoint.objects.exclude(not_before=None).update(not_before=None)
    Job.objects.filter(task="notifications.deliver", state=State.RETRYING).change(run_at=Now())


def test_none_is_lost_while_the_endpoint_fails_in_every_way_and_workers_are_killed(site: Stack, receivers: Any) -> None:
    receiver = receivers()
    faults = FAULTS * max(EVENTS // 50, 1)
    receiver.behaving = random.sample(faults, len(faults)) + random.choices([204, 204, *FAULTS[:3]], k=EVENTS // 2)
    with site.inside():
        owner = User.objects.create_user(new_email())
        endpoint = webhooks.create(owner, receiver.url, webhooks.EVENTS)
        made = make_things(owner, EVENTS)
        for turn in range(KILLS):
            moment = EVENTS * (turn + random.random()) / KILLS
            wait_until(lambda moment=moment: hours_pass() or len(receiver.requests) >= moment, timeout=120, every=0.3)
            site.kill("worker-quick" if turn % 2 else "worker-webhooks")

        def delivered() -> bool:
            hours_pass()
            return Delivery.objects.filter(delivered_at__isnull=False).count() == EVENTS

        wait_until(lambda: not Job.objects.filter(task=make_thing.name, state__in=UNFINISHED).exists(), timeout=60)
        tell_missed.enqueue()  # as the clock does every minute
        wait_until(delivered, timeout=180, every=0.3)
        assert endpoint.owner == owner and Delivery.objects.count() == EVENTS
        tries = sum(Delivery.objects.values_list("tries", flat=True))
        lost = Job.objects.filter(task="notifications.deliver", errors__icontains="worker_lost").count()

    print(f"\n{EVENTS} events, {KILLS} kills, {tries} tries, {len(receiver.requests)} requests, {lost} cut off")
    assert events(receiver) == made
    assert len(receiver.verified(endpoint.secret)) == len(receiver.requests), "each try is signed anew"


def test_endpoints_that_hang_hold_up_neither_the_others_nor_other_work(site: Stack, receivers: Any) -> None:
    slow, well = receivers(), receivers()
    slow.always = "hang"
    with site.inside():
        patient, other = (User.objects.create_user(new_email()) for _ in range(2))
        webhooks.create(patient, slow.url, webhooks.EVENTS)
        webhooks.create(other, well.url, webhooks.EVENTS)
        make_things(patient, 20)
        wait_until(lambda: slow.requests)

        began = time.monotonic()
        made = make_things(other, 10)
        wait_until(lambda: events(well) == made, timeout=10)
        assert time.monotonic() - began < 5
        assert slow.most_at_once <= 2
        assert not Job.objects.filter(task=make_thing.name).exclude(state=State.SUCCEEDED).exists()
