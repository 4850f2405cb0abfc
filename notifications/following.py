"""Following a job by plain HTTP: `GET /api/jobs/{id}?wait=25` and the stream `GET /api/jobs/{id}/events`.

Beside Django rather than in it, which would hold a thread for as long as somebody waits. Who may ask for what, and the
answers, are those of `jobs.api`.
"""

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from django.http import HttpResponse
from ninja.errors import AuthenticationError, HttpError

from jobs.api import LONGEST_WAIT, as_event, known, shown
from jobs.models import Job
from notifications.watcher import Followed, watcher

PATH = re.compile(r"/api/jobs/(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<events>/events)?")
RECONNECT = 2000  # milliseconds after which a client whose stream broke asks again
KEEP_ALIVE = 15.0  # seconds of silence after which a comment tells proxies that we are still here
LONGEST_STREAM = 600.0  # seconds; who then asks again is looked at again
STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def asked_for(scope: dict[str, Any]) -> bool:
    """Whether this request is ours: the stream, or one that waits. All others are Django's, the malformed ones too."""
    path = PATH.fullmatch(scope["path"]) if scope["method"] == "GET" else None
    return bool(path and (path["events"] or seconds_to_wait(scope)))


def seconds_to_wait(scope: dict[str, Any]) -> int:
    """As asked for by `?wait=`. 0: not at all, or not as it should be."""
    wait = parse_qs(scope["query_string"].decode("latin-1")).get("wait", [""])[-1]
    return int(wait) if re.fullmatch(r"\d{1,2}", wait, re.A) and int(wait) <= LONGEST_WAIT else 0


async def follow(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Raises HttpError. A client that goes away is noticed at once, and nothing goes on for it."""
    path = PATH.fullmatch(scope["path"])
    assert path
    # The session's user is loaded when it is first looked at, which asks the database.
    caller = await database_sync_to_async(lambda: scope["user"].pk)()
    if caller is None:
        raise AuthenticationError
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    job_id = UUID(path["id"])
    if path["events"]:
        answering = stream(job_id, caller, headers.get("last-event-id", ""), send)
    else:
        answering = wait(job_id, caller, headers.get("if-none-match", ""), seconds_to_wait(scope), send)
    await unless_disconnected(answering, receive)


async def unless_disconnected(answering: Coroutine[Any, Any, None], receive: Any) -> None:
    """Answer, and stop at once when the client goes away."""
    answer, gone = asyncio.ensure_future(answering), asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        answer.cancel()
        with suppress(asyncio.CancelledError):
            await answer


async def disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# --- waiting for one answer ---


async def wait(job_id: UUID, owner_id: int, if_none_match: str, seconds: int, send: Any) -> None:
    def enough(followed: Followed) -> bool:
        return not known(followed.version, if_none_match) if if_none_match else followed.finished

    async with watcher.following(job_id, owner_id) as followed:  # before looking: what changes in between is not missed
        job = await load(job_id, owner_id)
        followed.hear(job.version, job.finished)
        if not enough(followed):
            await followed.until(enough, seconds)
            job = await load(job_id, owner_id)
    await send_all(await database_sync_to_async(shown)(job, if_none_match), send)


@database_sync_to_async
def load(job_id: UUID, owner_id: int) -> Job:
    job = Job.objects.filter(pk=job_id, owner=owner_id).first()
    if job is None:
        raise HttpError(404, "")
    return job


async def send_all(response: HttpResponse, send: Any) -> None:
    response["Content-Length"] = str(len(response.content))
    await begin(response.status_code, dict(response.items()), send)
    await send({"type": "http.response.body", "body": response.content})


async def begin(status: int, headers: dict[str, str], send: Any) -> None:
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    sent.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": status, "headers": sent})


# --- the stream of events ---


async def stream(job_id: UUID, owner_id: int, last_event_id: str, send: Any) -> None:
    """Each version of the job as one event, from the one after `Last-Event-ID` to that in which it has finished.

    By the HTML standard's server-sent events. 204 tells a browser not to ask again: there is nothing more to come.
    """
    seen = int(last_event_id) if re.fullmatch(r"\d{1,9}", last_event_id, re.A) else 0
    async with watcher.following(job_id, owner_id) as followed:
        job = await load(job_id, owner_id)
        followed.hear(job.version, job.finished)
        if job.finished and job.version <= seen:
            await begin(204, {}, send)
            await send({"type": "http.response.body"})
            return
        await begin(200, STREAM, send)
        await write(f"retry: {RECONNECT}\n\n", send)
        with suppress(TimeoutError, HttpError):  # the latter: the job is gone
            async with asyncio.timeout(LONGEST_STREAM):
                await tell(job, followed, seen, send)
    await send({"type": "http.response.body"})


async def tell(job: Job, followed: Followed, seen: int, send: Any) -> None:
    while True:
        if job.version > seen:
            seen = job.version
            await write(await database_sync_to_async(as_event)(job), send)
        if job.finished:
            return
        await followed.until(lambda followed: followed.version > seen, KEEP_ALIVE)  # noqa: B023
        if followed.logged_out:
            return
        if followed.version > seen:
            job = await load(job.pk, job.owner_id)
        else:
            await write(": still here\n\n", send)


async def write(text: str, send: Any) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
