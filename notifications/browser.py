"""Jobs in the browser, as they move.

A push is a hint and may be lost; the row is the truth. So pushing never makes a worker or a request wait, and never
fails: whoever shows jobs also asks for them now and then, and believes the higher version.
"""

import asyncio
import logging
import threading
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer

from jobs.api import JobOut
from jobs.models import Job, State
from jobs.outlook import look_ahead

logger = logging.getLogger(__name__)

SNAPSHOT = 50  # jobs
MOST_UNSENT = 1000  # pushes that may wait for a slow broker; more are dropped


class JobsConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/jobs/`: `{type: "snapshot", jobs}` on connecting, then `{type: "job", job}` for each change."""

    async def connect(self) -> None:
        # The session's user is loaded when it is first looked at, which asks the database.
        self.user_id = await database_sync_to_async(lambda: self.scope["user"].pk)()
        if self.user_id is None:
            await self.close()
            return
        # Listening before looking: what changes in between comes twice rather than never.
        await self.channel_layer.group_add(group_of(self.user_id), self.channel_name)
        await self.accept()
        await self.send_json({"type": "snapshot", "jobs": await self.recent_jobs()})

    @database_sync_to_async
    def recent_jobs(self) -> list[dict[str, Any]]:
        jobs = Job.objects.of(self.user_id)[:SNAPSHOT]
        look_ahead(jobs)
        return [as_json(job) for job in jobs]

    async def job(self, message: dict[str, Any]) -> None:
        if message["job"]["state"] in (State.RUNNING, State.SUSPENDED):
            # Found out here, where somebody looks, and not by the worker that pushed it.
            outlook = await self.outlook_of(message["job"]["id"])
            message = {**message, "job": {**message["job"], "outlook": outlook}}
        await self.send_json(message)

    @database_sync_to_async
    def outlook_of(self, job_id: str) -> dict[str, Any] | None:
        jobs = Job.objects.filter(pk=job_id)
        look_ahead(jobs)
        return next((as_json(job)["outlook"] for job in jobs), None)

    async def logged_out(self, message: dict[str, Any]) -> None:
        await self.close()

    async def disconnect(self, code: int) -> None:
        if self.user_id is not None:
            await self.channel_layer.group_discard(group_of(self.user_id), self.channel_name)


def push(job: Job, **_: Any) -> None:
    """Send a changed job to its owner's browsers, wherever they are connected. Returns at once."""
    if job.owner_id is not None and job.parent_id is None:
        sender.send(group_of(job.owner_id), {"type": "job", "job": as_json(job)})


def close(user: Any, **_: Any) -> None:
    """Close the sockets of somebody who has logged out, or whose password or token is another one now.

    Their pages connect anew, where they still may.
    """
    sender.send(group_of(user.pk), {"type": "logged.out", "user": user.pk})


def group_of(user_id: int) -> str:
    return f"jobs.{user_id}"


def as_json(job: Job) -> dict[str, Any]:
    return JobOut.from_orm(job).model_dump(mode="json")


class Sender:
    """One thread in each process with one lasting connection to the channel layer.

    `async_to_sync(group_send)` would open a connection for every message, and wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsent = 0

    def send(self, group: str, message: dict[str, Any]) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="sender", daemon=True).start()
            if self._unsent >= MOST_UNSENT:
                return
            self._unsent += 1
        asyncio.run_coroutine_threadsafe(self._send(group, message), self._loop)

    async def _send(self, group: str, message: dict[str, Any]) -> None:
        try:
            await get_channel_layer().group_send(group, message)
        except Exception as error:
            logger.debug("A push to %s was lost: %s", group, error)
        finally:
            with self._lock:
                self._unsent -= 1


sender = Sender()
