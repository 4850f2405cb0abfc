"""Who waits for a job in this web process, and how they hear of it.

One watcher in each process listens to the channel layer for all of them. A push is a hint and may be lost, so it also
asks the database, once a second or so and once for all jobs that somebody waits for. To wait costs no thread.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings

from jobs.api import Later
from jobs.models import FINISHED, Job
from notifications.browser import group_of

logger = logging.getLogger(__name__)

LOOK = 0.75  # seconds between two looks at the database: news are at most a second old
BUSY = "Too many are waiting here. Ask without waiting, or again in a moment."


class Followed:
    """A job that somebody waits for, and the latest that was heard of it."""

    def __init__(self, owner_id: int) -> None:
        self.owner_id = owner_id
        self.followers = 0
        self.version = 0
        self.finished = False
        self.logged_out = False
        self._heard = asyncio.Event()

    def hear(self, version: int, finished: bool) -> None:
        """What is no newer is ignored, so it may come by whichever way and as often as it likes."""
        if version > self.version:
            self.version, self.finished = version, finished
            self._wake()

    def end(self) -> None:
        """Its owner has logged out or revoked a token: whoever waits has to ask anew, if they still may."""
        self.logged_out = True
        self._wake()

    def _wake(self) -> None:
        heard, self._heard = self._heard, asyncio.Event()
        heard.set()

    async def until(self, enough: Callable[["Followed"], bool], seconds: float) -> None:
        """Wait until what was heard is enough, or the time is up."""
        try:
            async with asyncio.timeout(seconds):
                while not (self.logged_out or enough(self)):
                    await self._heard.wait()
        except TimeoutError:
            pass


class Watcher:
    def __init__(self) -> None:
        self._followed: dict[UUID, Followed] = {}
        self._waiting = 0
        self._changed = asyncio.Event()  # who is followed
        self._groups: set[str] = set()  # those we listen to
        self._channel = f"watcher.{uuid4().hex}"
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def following(self, job_id: UUID, owner_id: int) -> AsyncIterator[Followed]:
        """Hear of this job while the block runs. Raises Later when too many do."""
        if self._waiting >= settings.API_MAX_WAITING:
            raise Later(503, BUSY, retry_after=5)
        followed = self._followed.setdefault(job_id, Followed(owner_id))
        followed.followers += 1
        self._waiting += 1
        self._start()
        self._changed.set()
        try:
            yield followed
        finally:
            self._waiting -= 1
            followed.followers -= 1
            if not followed.followers and self._followed.get(job_id) is followed:
                del self._followed[job_id]
                self._changed.set()

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(forever(step)) for step in (self._listen, self._subscribe, self._look)]

    async def _look(self) -> None:
        await asyncio.sleep(LOOK)
        if self._followed:
            for pk, version, state in await self._versions(list(self._followed)):
                self._hear(pk, version, state)

    @database_sync_to_async
    def _versions(self, ids: list[UUID]) -> list[tuple[UUID, int, str]]:
        return list(Job.objects.filter(pk__in=ids).order_by().values_list("pk", "version", "state"))

    async def _subscribe(self) -> None:
        """Listen to the groups of those whose jobs are followed, and to no others."""
        await self._changed.wait()
        self._changed.clear()
        wanted = {group_of(followed.owner_id) for followed in self._followed.values()}
        try:
            for group in wanted - self._groups:
                await get_channel_layer().group_add(group, self._channel)
                self._groups.add(group)
            for group in self._groups - wanted:
                await get_channel_layer().group_discard(group, self._channel)
                self._groups.discard(group)
        except Exception:
            self._changed.set()
            raise

    async def _listen(self) -> None:
        message = await get_channel_layer().receive(self._channel)
        if job := message.get("job"):
            self._hear(UUID(job["id"]), job["version"], job["state"])
        else:
            self._end(message["user"])

    def _hear(self, pk: UUID, version: int, state: str) -> None:
        if followed := self._followed.get(pk):
            followed.hear(version, finished=state in FINISHED)

    def _end(self, owner_id: int) -> None:
        for pk, followed in list(self._followed.items()):
            if followed.owner_id == owner_id:
                del self._followed[pk]  # who asks anew starts anew
                followed.end()


async def forever(step: Callable[[], Awaitable[None]]) -> None:
    """Whatever is down, the next round may find it up again."""
    while True:
        try:
            await step()
        except Exception as error:
            logger.info("The watcher could not %s: %s", step.__name__.strip("_"), error)
            await asyncio.sleep(LOOK)


watcher = Watcher()
