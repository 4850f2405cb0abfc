"""The tus protocol 1.0: an upload goes on where the line dropped. https://tus.io/protocols/resumable-upload

Beside Django rather than in it, because Django reads all of a body before it calls a view, and throws away what has
arrived when the line drops. Here each byte is appended to its file as it comes. What has been written stays.
"""

import asyncio
import base64
import binascii
import errno
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from channels.db import DatabaseSyncToAsync
from django.conf import settings
from django.core.files.storage import default_storage
from django.utils.http import http_date
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from files.stored import store
from videos import resumable, uploads
from videos.models import Upload, described

ADDRESS = "/api/uploads"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum,concatenation"
ALGORITHMS = ("sha1", "sha256", "md5")
BODY = "application/offset+octet-stream"

# Seconds without a byte after which a sender is taken for gone. Lines that break in silence would hold the lock.
STALLED = 30.0

Refuse = Callable[[int, str, dict[str, str]], Response]
# On threads of their own, since all others that wait for the database would stand behind a slow disk.
in_thread = partial(DatabaseSyncToAsync, thread_sensitive=False)


def takes(path: str) -> bool:
    """Whether a request to this path is for us. Below it, `multipart` is an operation of the API."""
    return path == ADDRESS or (path.startswith(f"{ADDRESS}/") and not path.startswith(f"{ADDRESS}/multipart"))


class Refusal(Exception):
    """An answer that says no: its status, what the sender should know, further headers."""

    def __init__(self, status: int, detail: str = "", **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Tus:
    """The ASGI app. Wants the person in `scope["user"]`. `refuse` makes the answer from a status, words and headers."""

    def __init__(self, refuse: Refuse) -> None:
        self.refuse = refuse

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            response = await answer(request)
        except ClientDisconnect:
            return
        except Refusal as no:
            response = self.refuse(no.status, str(no), no.headers)
        except uploads.Refused as no:
            response = self.refuse(no.status, str(no), {})
        response.headers["Tus-Resumable"] = VERSION
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)


async def answer(request: Request) -> Response:
    method = request.method
    if method == "POST":
        method = request.headers.get("x-http-method-override", method).upper()
    name = request.url.path.removeprefix(ADDRESS).strip("/")
    answers = TO_ONE if name else TO_ALL
    if method not in answers:
        raise Refusal(405, Allow=", ".join(answers))
    if method == "OPTIONS":
        return options()
    # No page of another site can send this header: it would have to ask first, and we answer no such question.
    if method != "GET" and request.headers.get("tus-resumable") != VERSION:
        raise Refusal(412, f"Send the header Tus-Resumable: {VERSION}.", Tus_Version=VERSION)
    user = await in_thread(lambda: request.scope["user"].is_authenticated and request.scope["user"])()
    if not user:
        raise Refusal(401, WWW_Authenticate="Bearer")
    if not name:
        return await create(request, user)
    return await answers[method](request, await in_thread(resumable.find)(user, upload_id(name)))


def options() -> Response:
    limit = str(settings.MAX_UPLOAD_BYTES)
    can = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": limit}
    return Response(status_code=204, headers={**can, "Tus-Checksum-Algorithm": ",".join(ALGORITHMS)})


# --- a new one ---


async def create(request: Request, user: Any) -> Response:
    metadata = checked_metadata(request.headers.get("upload-metadata", ""))
    kind, _, parts = request.headers.get("upload-concat", "").partition(";")
    if kind not in ("", "partial", "final"):
        raise Refusal(400, "Upload-Concat is either “partial” or “final;” and the addresses of the parts.")
    if kind == "final":
        ids = [upload_id(address.rpartition("/")[2]) for address in parts.split()]
        upload = await in_thread(resumable.concatenate)(user, ids, metadata, parts)
        await finish(upload)
    else:
        length = number(request, "upload-length")
        upload = await in_thread(resumable.begin)(user, length, metadata, partial=kind == "partial")
        if request.headers.get("content-type") == BODY:
            await append_first(request, upload)
    return Response(status_code=201, headers={"Location": address(request, upload), **state_of(upload)})


def address(request: Request, upload: Upload) -> str:
    """Absolute, since not all clients understand another. A proxy may have spoken https where we hear http."""
    ours = urlsplit(settings.SITE_URL).netloc == request.url.netloc
    return f"{settings.SITE_URL if ours else str(request.base_url).rstrip('/')}{ADDRESS}/{upload.pk}"


async def append_first(request: Request, upload: Upload) -> None:
    """What comes along with the creation. Whoever is refused it will not come back to this upload."""
    try:
        await append(request, upload, at=0)
    except Refusal:
        await in_thread(resumable.remove)(upload)
        raise


def checked_metadata(metadata: str) -> str:
    try:
        described(metadata)
    except ValueError:
        raise Refusal(
            400, "Upload-Metadata is pairs of a key and a value in Base64, with commas between them."
        ) from None
    return metadata


# --- one that there is ---


async def head(request: Request, upload: Upload) -> Response:
    """How much is here. Clients that hear that all is here send no more, so what a crash left undone is done now."""
    await finish(upload)
    described = {
        "Upload-Length": str(upload.length),
        "Upload-Metadata": upload.metadata,
        "Upload-Concat": concat_of(upload),
    }
    return Response(headers={**state_of(upload), **{name: value for name, value in described.items() if value}})


async def patch(request: Request, upload: Upload) -> Response:
    if upload.parts:
        raise Refusal(403, "An upload that was put together from parts takes no more.")
    if request.headers.get("content-type") != BODY:
        raise Refusal(415, f"Send the bytes as Content-Type: {BODY}.")
    at = number(request, "upload-offset")
    if upload.complete:
        expect(at, upload)
        await finish(upload)
    else:
        await append(request, upload, at)
    return Response(status_code=204, headers=state_of(upload))


async def delete(request: Request, upload: Upload) -> Response:
    await in_thread(resumable.remove)(upload)
    return Response(status_code=204)


async def get(request: Request, upload: Upload) -> Response:
    """What has arrived. The protocol does not ask for it; its clients' own tests do."""
    path = upload.path
    if upload.video_id and not store():
        path = Path(default_storage.path(upload.original_name))
    if not path.exists():
        raise resumable.NotThere("There is nothing here that you can see.")
    # Never to be shown: it may be a page, and would be one of ours.
    return FileResponse(path, media_type="application/octet-stream", filename="upload", headers=NEVER_SHOWN)


NEVER_SHOWN = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}


async def no_answer(request: Request, *_: Any) -> Response:
    raise AssertionError("answered before")


TO_ALL = {"OPTIONS": no_answer, "POST": no_answer}
TO_ONE = {"OPTIONS": no_answer, "HEAD": head, "PATCH": patch, "DELETE": delete, "GET": get}


# --- writing ---


async def append(request: Request, upload: Upload, at: int) -> None:
    """Write the body to the end of the upload, which has to be at this offset."""
    checksum = Checksum.of(request)
    with resumable.opened(upload) as file:
        await in_thread(resumable.reload)(upload, file)
        expect(at, upload)
        if at + int(request.headers.get("content-length", 0)) > upload.length:
            raise too_much(upload)
        if checksum:
            await in_thread(resumable.note)(upload, unverified_from=at)
        try:
            await write(pieces(request), file, upload, checksum)
            if checksum:
                checksum.verify()
        except BaseException:
            if checksum:  # what cannot be verified is not kept
                os.ftruncate(file, at)
            raise
        finally:
            await in_thread(resumable.note)(upload)
    await finish(upload)


async def write(body: AsyncIterator[bytes], file: int, upload: Upload, checksum: "Checksum | None") -> None:
    room = upload.length - os.fstat(file).st_size
    async for piece in body:
        if checksum:
            checksum.update(piece)
        write_all(file, piece[:room])
        room -= len(piece)
        if room < 0:
            raise too_much(upload)


def write_all(file: int, piece: bytes) -> None:
    """To memory, from which the kernel brings it to the disk: too quick for a thread to be worth its while."""
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal(
                507, "There is no room left here at the moment. Go on later: what arrived is kept."
            ) from error
        raise


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ClientDisconnect, also when nothing comes any more."""
    more = True
    while more:
        try:
            async with asyncio.timeout(STALLED):
                message = await request.receive()
        except TimeoutError:
            raise ClientDisconnect from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


class Checksum:
    """What the header Upload-Checksum says of a body, and what is found."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self.expected = expected
        self.found = hashlib.new(algorithm, usedforsecurity=False)
        self.update = self.found.update

    @classmethod
    def of(cls, request: Request) -> "Checksum | None":
        header = request.headers.get("upload-checksum")
        if header is None:
            return None
        algorithm, _, expected = header.partition(" ")
        if algorithm not in ALGORITHMS:
            raise Refusal(400, f"Upload-Checksum is one of {', '.join(ALGORITHMS)} and the checksum in Base64.")
        try:
            return cls(algorithm, base64.b64decode(expected, validate=True))
        except binascii.Error:
            raise Refusal(400, "The checksum is not in Base64.") from None

    def verify(self) -> None:
        if self.found.digest() != self.expected:
            raise Refusal(460, "The checksum does not match what arrived, which was thrown away. Send it again.")


# --- what is common ---


async def finish(upload: Upload) -> None:
    if upload.complete and not upload.partial and not upload.video_id:
        await in_thread(resumable.finish)(upload)


def state_of(upload: Upload) -> dict[str, str]:
    offset = {"Upload-Offset": str(upload.offset)}
    if upload.video_id:
        return {**offset, "Link": f'</api/videos/{upload.video_id}>; rel="related"'}
    return {**offset, "Upload-Expires": http_date(upload.expires_at.timestamp())}


def concat_of(upload: Upload) -> str:
    return f"final;{upload.parts}" if upload.parts else "partial" if upload.partial else ""


def expect(offset: int, upload: Upload) -> None:
    if offset != upload.offset:
        raise Refusal(409, f"The next byte is that at offset {upload.offset}, not {offset}.")


def too_much(upload: Upload) -> Refusal:
    return Refusal(413, f"This is more than the {upload.length} bytes that were announced.")


def number(request: Request, header: str) -> int:
    value = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise Refusal(400, f"The header {header.title()} says a number of bytes.")
    return int(value)


def upload_id(name: str) -> UUID:
    try:
        return UUID(name)
    except ValueError:
        raise resumable.NotThere("There is no such upload. Begin a new one.") from None
