"""Media files: addresses that only one user can use, for a while, and the ASGI app that answers them.

What is shared has others, for whoever was shown them: they hold a link instead of a user, and end with it.

An address holds a ticket for the folder in which its file lies, so what a playlist names there has an address too. A
folder therefore holds what was made for one user, at one time.

Beside Django rather than in it, because Django under ASGI cannot stream a file without a thread for each viewer.
"""

import asyncio
import re
import time
from collections.abc import Callable
from mimetypes import guess_type
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from channels.db import database_sync_to_async
from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.utils.http import content_disposition_header
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from files.stored import StoreAway, store

if TYPE_CHECKING:
    from files.store import Store

LIFETIME = 12 * 3600  # seconds: longer than anybody watches
SIGNED_FOR = 3600  # seconds at most in which an address at an object store can be used
SIGNED_FOR_OTHERS = 300  # seconds: so soon such addresses of what was shared end, too
SAME_FOR = 3600  # seconds that a file keeps its address, so that the browser need not fetch it anew for each page
PLAYED = ("video", "image")  # what pages show; all else is for the disk, and never opened on our site
PLAYLISTS = ("application/vnd.apple.mpegurl", "text/vtt")  # what players read
PLAIN_NAME = re.compile(r"(?!\.\.?$)[^/\\\0]+")  # leads to no other folder
signer = signing.Signer(salt="media")


def address(file: FieldFile, viewer: int | str) -> str:
    """Where the user of that id, and no other, finds this file, and those in the same folder, for at least `LIFETIME`.

    Or everybody, for as long as there is the link of that name.
    """
    folder, _, name = str(file.name).rpartition("/")
    expires = (int(time.time()) // SAME_FOR + 1) * SAME_FOR + LIFETIME
    ticket = signer.sign_object([viewer, folder, expires])
    return f"{settings.MEDIA_URL}{ticket}/{name}"


class Allowed(NamedTuple):
    """A file of the storage that somebody may see now."""

    name: str
    is_kept: bool  # by the browser, to show it again without asking: by nobody whose link can end
    seconds: int  # for which an address at the object store is signed

    @property
    def kind(self) -> str:
        return guess_type(self.name)[0] or "application/octet-stream"

    @property
    def is_playlist(self) -> bool:
        return self.kind in PLAYLISTS

    @property
    def disposition(self) -> str | None:
        if self.is_playlist or self.kind.partition("/")[0] in PLAYED:
            return None
        return content_disposition_header(True, PurePosixPath(self.name).name)

    def headers(self, max_age: int = LIFETIME) -> dict[str, str]:
        cache = f"max-age={max_age}" if self.is_kept else "no-cache"
        return {"Cache-Control": f"private, {cache}", "X-Content-Type-Options": "nosniff"}


class Media:
    """Answers `/media/<ticket>/<name>`, with byte ranges.

    The ticket is enough, so a player that sends no cookies can play; in the hands of another user it is none.
    is_shared: says whether there is such a link.
    """

    def __init__(self, is_shared: Callable[[str], bool]) -> None:
        self.is_shared = is_shared

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: dict[str, Any]) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Method not allowed", status_code=405, headers={"Allow": "GET, HEAD"})
        allowed = await self._allowed(scope)
        if allowed is None:
            return _not_found()
        if there := store():
            try:
                return await asyncio.to_thread(_of_store, there, allowed, scope["method"])
            except StoreAway as away:
                retry_after = {"Retry-After": str(away.retry_after.seconds)}
                return PlainTextResponse(str(away), status_code=503, headers=retry_after)
        return _of_disk(allowed)

    async def _allowed(self, scope: dict[str, Any]) -> Allowed | None:
        ticket, _, name = scope["path"].removeprefix(settings.MEDIA_URL).partition("/")
        try:
            viewer, folder, expires = signer.unsign_object(ticket)
        except signing.BadSignature:
            return None
        left = int(expires - time.time())
        if left <= 0 or not PLAIN_NAME.fullmatch(name):
            return None
        # In a thread, as both ask the database: the session's user is loaded when it is first looked at.
        if not await database_sync_to_async(self._may)(scope["user"], viewer):
            return None
        is_owner = isinstance(viewer, int)
        return Allowed(f"{folder}/{name}", is_owner, min(left, SIGNED_FOR if is_owner else SIGNED_FOR_OTHERS))

    def _may(self, user: Any, viewer: int | str) -> bool:
        return self.is_shared(viewer) if isinstance(viewer, str) else user.pk in (None, viewer)


def _not_found() -> Response:
    return PlainTextResponse("Not found", status_code=404)


class _File(FileResponse):
    chunk_size = 256 * 1024  # bytes, held for each viewer; four times the usual, as each is read in a thread of its own


def _of_disk(file: Allowed) -> Response:
    headers = file.headers()
    if file.disposition:
        headers["Content-Disposition"] = file.disposition
    if settings.X_ACCEL_LOCATION:  # nginx looks for it, and cuts the ranges out
        headers["X-Accel-Redirect"] = quote(settings.X_ACCEL_LOCATION + file.name)
        return Response(headers=headers, media_type=file.kind)
    path = Path(default_storage.path(file.name))
    return _File(path, headers=headers, media_type=file.kind) if path.is_file() else _not_found()


def _of_store(there: "Store", file: Allowed, method: str) -> Response:
    """Of an object store: what players read. To all else it leads, by an address that lasts for a while."""
    if file.is_playlist:  # these name others beside them, which have no address in the store
        try:
            with there.open(file.name) as playlist:
                return Response(playlist.read(), media_type=file.kind, headers=file.headers())
        except FileNotFoundError:
            return _not_found()
    answer = {"ResponseContentType": file.kind}
    if file.disposition:
        answer["ResponseContentDisposition"] = file.disposition
    address = there.address(file.name, file.seconds, method, **answer)
    return RedirectResponse(address, 302, headers=file.headers(max_age=file.seconds // 2))
