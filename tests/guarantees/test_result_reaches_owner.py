"""However its owner waits for a job, they learn within a second that it has finished."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from signal import SIGCONT, SIGSTOP
from typing import Any
from uuid import UUID

import httpx
import pytest
from websockets.asyncio.client import connect

from jobs.models import Job
from notifications import webhooks
from tests.client import Client, new_email
from tests.crowd import crowd, memory
from tests.notifications.receiver import Receiver
from tests.stack import Stack
from tests.trial.tasks import make_thing
from tests.waiting import wait_until

WITHIN = 1.0  # seconds
WAITING = 200
MOST_MEMORY = 100 * 1024 * 1024  # bytes, for all that wait

Learn = Callable[[Stack, Client, str], Awaitable[float]]


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(
        only=["web", "worker-quick", "worker-webhooks", "clock", "valkey"],
        API_MAX_WAITING=str(WAITING),
        WEBHOOKS_TO_LOOPBACK="1",
    )


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


async def by_socket(site: Stack, client: Client, job_id: str) -> float:
    """As the browser does. Like the others it returns the moment at which it knew."""
    headers = {"Authorization": f"Bearer {client.token}"}
    async with connect(f"ws://127.0.0.1:{site.port}/ws/jobs/", additional_headers=headers, proxy=None) as socket:
        async for message in socket:
            heard = json.loads(message)
            for job in heard.get("jobs", [heard.get("job")]):
                if job["id"] == job_id and job["state"] == "succeeded":
                    return time.time()
    raise AssertionError("The socket was closed")


async def by_waiting(site: Stack, client: Client, job_id: str) -> float:
    async with httpx.AsyncClient(base_url=site.url, headers=client.headers, timeout=60) as program:
        answer = await program.get(f"/api/jobs/{job_id}", params={"wait": 50})
        assert answer.json()["state"] == "succeeded"
        return time.time()


async def by_events(site: Stack, client: Client, job_id: str) -> float:
    async with (
        httpx.AsyncClient(base_url=site.url, headers=client.headers, timeout=60) as program,
        program.stream("GET", f"/api/jobs/{job_id}/events") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and json.loads(line.removeprefix("data: "))["state"] == "succeeded":
                return time.time()
    raise AssertionError("The stream ended before the job")


@pytest.fixture
def by_webhook(site: Stack, client: Client, settings: Any) -> Iterator[Learn]:
    """At an endpoint of this person, made before the job."""
    settings.WEBHOOKS_TO_LOOPBACK = True
    with Receiver().listening() as receiver:
        with site.inside():
            webhooks.create(client.user, receiver.url, webhooks.EVENTS)

        async def learn(site: Stack, client: Client, job_id: str) -> float:
            event = f"evt_{UUID(job_id).hex}_"
            await asyncio.to_thread(
                wait_until, lambda: any(name.startswith(event) for name in receiver.ids()), every=0.01
            )
            return time.time()

        yield learn


@pytest.fixture
def running(site: Stack, client: Client) -> Job:
    """A job that runs for a while."""
    with site.inside():
        job = make_thing.enqueue(seconds=3, owner=client.user)
        return wait_until(lambda: Job.objects.filter(pk=job.pk, state="running").first())


def delays(site: Stack, client: Client, job: Job, ways: list[Learn]) -> list[float]:
    """Seconds from the moment at which the job had finished to those at which each knew."""

    async def all_of_them() -> list[float]:
        return await asyncio.gather(*(way(site, client, str(job.pk)) for way in ways))

    knew = asyncio.run(all_of_them())
    with site.inside():
        job.refresh_from_db()
    return [moment - job.finished_at.timestamp() for moment in knew]


# Whoever adds another way adds it here.
def test_whoever_waits_learns_of_the_end_of_a_job_within_a_second(site, client, by_webhook, running):
    took = delays(site, client, running, [by_socket, by_waiting, by_events, by_webhook])
    print("seconds by socket, by waiting, by events, by webhook:", took)
    assert max(took) < WITHIN


def test_with_the_broker_down_the_poller_and_the_stream_still_learn(site, client, running):
    site.stop("valkey")
    try:
        took = delays(site, client, running, [by_waiting, by_events])
    finally:
        site.start_again("valkey")
    print("seconds by waiting, by events, without a broker:", took)
    assert max(took) < WITHIN


def test_with_the_broker_frozen_they_do_too(site, client, running):
    site.kill("valkey", SIGSTOP)
    try:
        took = delays(site, client, running, [by_waiting, by_events])
    finally:
        site.kill("valkey", SIGCONT)
    print("seconds by waiting, by events, with a frozen broker:", took)
    assert max(took) < WITHIN


def test_two_hundred_who_wait_cost_little_memory_and_slow_nobody(site, client, running):
    def ask() -> float:
        began = time.perf_counter()
        assert client.get(f"/api/jobs/{running.pk}").is_success
        return time.perf_counter() - began

    alone = statistics.median(ask() for _ in range(60))
    before = memory(site)
    with crowd(site, client, WAITING):
        cost = memory(site) - before
        beside = statistics.median(ask() for _ in range(60))
    print(f"{cost / 2**20:.1f} MB; {1000 * alone:.1f} ms alone, {1000 * beside:.1f} ms beside {WAITING} who wait")
    assert cost < MOST_MEMORY
    assert beside < 2 * alone + 0.005
