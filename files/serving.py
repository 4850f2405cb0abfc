"""Media files: addresses that only one user can use, for a while, and the ASGI app that answers them.

An address holds a ticket for the folder in which its file lies, so what a playlist names there has an address too. A
folder therefore holds what was made for one user, at one time.

Beside Django rather than in it, because Django under ASGI cannot stream a file without a thread for each viewer.
"""

import asyncio
import re
import time
from mimetypes import guess_type
from pathlib import Path, PurePosixPath
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.utils.http import content_disposition_header
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from files.stored import store

LIFETIME = 12 * 3600  # seconds: longer than anybody watches
SAME_FOR = 3600  # seconds that a file keeps its address, so that the browser need not fetch it anew for each page
PLAYED = ("video", "image")  # what pages show; all else is for the disk, and never opened on our site
PLAYLISTS = ("application/vnd.apple.mpegurl", "text/vtt")  # what players read
PLAIN_NAME = re.compile(r"(?!\.\.?$)[^/\\\0]+")  # leads to no other folder
signer = signing.Signer(salt="media")


def address(file: FieldFile, viewer_id: int) -> str:
    """Where that user, and no other, finds this file, and those in the same folder, for at least `LIFETIME`."""
    folder, _, name = str(file.name).rpartition("/")
    expires = (int(time.time()) // SAME_FOR + 1) * SAME_FOR + LIFETIME
    ticket = signer.sign_object([viewer_id, folder, expires])
    return f"{settings.MEDIA_URL}{ticket}/{name}"


async def media(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers `/media/<ticket>/<name>`, with byte ranges.

    The ticket is enough, so a player that sends no cookies can play; in the hands of another user it is none.
    """
    await (await _answer(scope))(scope, receive, send)


async def _answer(scope: dict[str, Any]) -> Response:
    if scope["method"] not in ("GET", "HEAD"):
        return PlainTextResponse("Method not allowed", status_code=405, headers={"Allow": "GET, HEAD"})
    allowed = await _allowed(scope)
    if allowed is None:
        return _not_found()
    name, seconds = allowed
    if store():
        return await asyncio.to_thread(_of_store, name, seconds, scope["method"])
    path = Path(default_storage.path(name))
    return _served(path) if path.is_file() else _not_found()


def _not_found() -> Response:
    return PlainTextResponse("Not found", status_code=404)


HEADERS = {"Cache-Control": f"private, max-age={LIFETIME}", "X-Content-Type-Options": "nosniff"}


def _served(path: Path) -> Response:
    kind = guess_type(path.name)[0] or ""
    played = kind in PLAYLISTS or kind.partition("/")[0] in PLAYED
    return FileResponse(path, headers=HEADERS, filename=None if played else path.name)


def _of_store(name: str, seconds: int, method: str) -> Response:
    """Of an object store: what players read. To all else it leads, by an address that lasts as long as the ticket."""
    there = store()
    assert there
    file_name = PurePosixPath(name).name
    kind = guess_type(file_name)[0] or "application/octet-stream"
    if kind in PLAYLISTS:  # these name others beside them, which have no address in the store
        try:
            with there.open(name) as file:
                return Response(file.read(), media_type=kind, headers=HEADERS)
        except FileNotFoundError:
            return _not_found()
    answer = {"ResponseContentType": kind}
    if kind.partition("/")[0] not in PLAYED:
        answer["ResponseContentDisposition"] = content_disposition_header(True, file_name) or "attachment"
    address = there.address(name, seconds, method, **answer)
    return RedirectResponse(address, 302, headers={**HEADERS, "Cache-Control": f"private, max-age={seconds // 2}"})


async def _allowed(scope: dict[str, Any]) -> tuple[str, int] | None:
    """The name of the file in the storage, and for how many seconds more the ticket lasts."""
    ticket, _, name = scope["path"].removeprefix(settings.MEDIA_URL).partition("/")
    try:
        owner_id, folder, expires = signer.unsign_object(ticket)
    except signing.BadSignature:
        return None
    if expires < time.time() or not PLAIN_NAME.fullmatch(name):
        return None
    # The session's user is loaded when it is first looked at, which asks the database.
    viewer_id = await database_sync_to_async(lambda: scope["user"].pk)()
    if viewer_id not in (None, owner_id):
        return None
    return f"{folder}/{name}", int(expires - time.time())
