"""From an uploaded file to a video and the job that transcodes it."""

import re
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.template.defaultfilters import filesizeformat

from videos.models import Video
from videos.tasks import transcode_video

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

# What a form adds around its file: boundaries, headers, the title.
FORM_BYTES = 64 * 1024


class Refused(Exception):
    """The upload cannot become a video. The message says why, to the person who sent it."""


class TooLarge(Refused):
    pass


def receive(owner: Any, file: UploadedFile, title: str) -> Video:
    """Keep the file, and make its video and its job in one transaction. Raises Refused."""
    if not file.size:
        raise Refused("This file is empty. Choose another and upload it again.")
    if file.size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(too_large())
    video = Video(owner=owner, title=one_line(title) or title_from(file.name or ""))
    video.original = default_storage.save(f"{video.folder}/original", file)
    try:
        with transaction.atomic():
            video.save()
            video.job = transcode_video.enqueue(video_id=str(video.pk), owner=owner, key=str(video.pk))
            video.save(update_fields=["job"])
    except BaseException:
        default_storage.delete(video.original.name)
        raise
    return video


def one_line(text: str) -> str:
    """As a title can be, without the control characters that PostgreSQL does not store and no page shows."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).split())[:200]


def title_from(file_name: str) -> str:
    """A title for a video that was given none: `my_holiday.mov` becomes `my holiday`."""
    return one_line(PurePosixPath(file_name.replace("\\", "/")).stem.replace("_", " ")) or "Untitled"


def too_large() -> str:
    return f"This file is too large. Videos may have up to {filesizeformat(settings.MAX_UPLOAD_BYTES)}."


class UploadLimit:
    """Stops a body over the limit before it is stored. In front of Django, which would read all of it first."""

    def __init__(self, app: ASGIApp, refuse: ASGIApp) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        limit = settings.MAX_UPLOAD_BYTES + FORM_BYTES
        if int(dict(scope["headers"]).get(b"content-length", b"0")) > limit:
            return await self.refuse(scope, receive, send)
        received = 0

        async def counted() -> dict[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge
            return message

        try:
            await self.app(scope, counted, send)
        except BodyTooLarge:
            await self.refuse(scope, receive, send)


class BodyTooLarge(Exception):
    """More came than was announced, or than is allowed."""
