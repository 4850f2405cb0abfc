"""Many who wait for a job at once, as `?wait=` lets them."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
from django.utils import timezone

from tests.client import Client
from tests.linux import memory_of
from tests.stack import Stack
from tests.trial.tasks import nothing
from tests.waiting import wait_until


@contextmanager
def crowd(site: Stack, client: Client, number: int) -> Iterator[None]:
    """So many wait while the block runs. The site is to have API_MAX_WAITING at that number: so one more tells."""
    with site.inside():
        hour = timezone.now() + timedelta(hours=1)
        jobs = [nothing.enqueue(number=1, run_at=hour, owner=client.user) for _ in range(number)]
    leave = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(wait_for(jobs, site, dict(client.headers), leave)))
    thread.start()
    try:
        wait_until(lambda: full(client, f"/api/jobs/{jobs[0].pk}/events"), timeout=60)
        yield
    finally:
        leave.set()
        thread.join()


def full(client: Client, stream: str) -> bool:
    with client.stream("GET", stream) as answer:
        return answer.status_code == 503


async def wait_for(jobs: list, site: Stack, headers: dict[str, str], leave: threading.Event) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=90, limits=limits) as program:
        waiting = [asyncio.create_task(wait_for_one(program, f"/api/jobs/{job.pk}?wait=60")) for job in jobs]
        await asyncio.to_thread(leave.wait)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def wait_for_one(program: httpx.AsyncClient, url: str) -> None:
    while (await program.get(url)).status_code == 503:  # whoever looks whether all are there takes a place, too
        await asyncio.sleep(0.1)


def memory(site: Stack) -> int:
    """Bytes that the web process holds."""
    return memory_of(site.pid("web"))
