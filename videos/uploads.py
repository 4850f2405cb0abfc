"""From an uploaded file to a video and the job that transcodes it. In several requests: see `resumable`."""

import re
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from videos.models import Upload, Video
from videos.tasks import transcode_video

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

# What a form adds around its file: boundaries, headers, the title.
FORM_BYTES = 64 * 1024


class Refused(Exception):
    """The upload cannot become a video. The message says why, to the person who sent it."""

    status = 422


class TooLarge(Refused):
    status = 413


def receive(owner: Any, file: UploadedFile, title: str) -> Video:
    """Keep the file, and make its video and its job in one transaction. Raises Refused."""
    length = file.size or 0
    check_length(length)
    check_quota(owner, length)
    video = Video(owner=owner, title=one_line(title) or title_from(file.name or ""))
    video.original = default_storage.save(video.original_name, file)
    try:
        with transaction.atomic():
            hand_over(video, length)
            Upload.objects.create(pk=video.pk, owner=owner, length=length, video=video, expires_at=timezone.now())
    except BaseException:
        default_storage.delete(video.original.name)
        raise
    return video


def hand_over(video: Video, length: int) -> None:
    """Write the video, of so many bytes, and the job that transcodes it. Inside a transaction."""
    video.save(force_insert=True)
    video.job = transcode_video.enqueue(video_id=str(video.pk), owner=video.owner, key=str(video.pk), size=length)
    video.save(update_fields=["job"])


# --- limits ---


def check_length(length: int) -> None:
    if not length:
        raise Refused("This file is empty. Choose another and upload it again.")
    if length > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(too_large())


def check_quota(owner: Any, length: int) -> None:
    """Counted as announced, and for as long as there is the video and its original."""
    counted = Upload.objects.filter(owner=owner).exclude(video__original="")
    room = settings.UPLOAD_QUOTA_BYTES - (counted.aggregate(sum=Sum("length"))["sum"] or 0)
    if length > room:
        left = filesizeformat(max(0, room))
        raise TooLarge(f"There is no room for this file: you have {left} left. Delete videos that you no longer need.")


def too_large() -> str:
    return f"This file is too large. Videos may have up to {filesizeformat(settings.MAX_UPLOAD_BYTES)}."


# --- names ---


def one_line(text: str) -> str:
    """As a title can be, without the control characters that PostgreSQL does not store and no page shows.

    Nor those that turn the direction of what follows: they would disguise the text around a title.
    """
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", " ", text).split())[:200]


def title_from(file_name: str) -> str:
    """A title for a video that was given none: `my_holiday.mov` becomes `my holiday`."""
    return one_line(PurePosixPath(file_name.replace("\\", "/")).stem.replace("_", " ")) or "Untitled"


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
