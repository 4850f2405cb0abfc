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

from files.stored import once_committed
from jobs.models import Job, State
from jobs.workspace import discard_parts
from videos.models import Upload, Video, lock_owner
from videos.tasks import transcode_video

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

# What a form adds around its file: boundaries, headers, the title.
FORM_BYTES = 64 * 1024


class Refused(Exception):
    """The upload cannot become a video. The message says why, to the person who sent it."""

    status = 422


class TooLarge(Refused):
    status = 413


def receive(owner: Any, file: UploadedFile, title: str = "", replaces: Video | None = None) -> Video:
    """Keep the file, and make its video and its job in one transaction. Raises Refused."""
    length = file.size or 0
    check_length(length)
    check_quota(owner, length)
    upload = Upload(owner=owner, length=length, replaces=replaces, expires_at=timezone.now())
    name = default_storage.save(upload.original_name, file)
    try:
        with transaction.atomic():
            upload.video = hand_over(upload, one_line(title) or title_from(file.name or ""))
            upload.save(force_insert=True)
    except BaseException:
        default_storage.delete(name)
        raise
    return upload.video


def hand_over(upload: Upload, title: str) -> Video:
    """Write the video of an upload that lies in the storage, and the job that transcodes it. Inside a transaction."""
    if upload.replaces_id:
        return replace(upload.replaces_id, upload)
    video = Video(pk=upload.pk, owner=upload.owner, title=title, original=upload.original_name)
    video.save(force_insert=True)
    video.job = job_for(video, upload)
    video.save(update_fields=["job"])
    return video


def replace(video_id: Any, upload: Upload) -> Video:
    """Have the upload take the place of the video's file: at once if nothing has been published of it yet, else when
    it has been transcoded. What was under way for the video before is given up.
    """
    video = at_rest(video_id)
    if video.mp4:
        former, video.replacement = video.replacement.name, upload.original_name
    else:
        former, video.original = video.original.name, upload.original_name
    video.job = job_for(video, upload)
    put_away(video, former)
    return video


@transaction.atomic
def keep(video: Video) -> None:
    """Give up what was uploaded to replace the video's file, unless it has done so: the video stays as it is."""
    video = at_rest(video.pk)
    if video.being_replaced:
        former, video.replacement = video.replacement.name, ""
        of_video = Job.objects.filter(task=transcode_video.name, args__video_id=str(video.pk))
        video.job = of_video.filter(state=State.SUCCEEDED).order_by("-finished_at").first()
        put_away(video, former)


def at_rest(video_id: Any) -> Video:
    """The video, when nothing is under way for it any more, and nobody else is at it. Inside a transaction.

    Its job is locked before its own row, as by whoever publishes.
    """
    video = Video.objects.get(pk=video_id)
    lock_owner(video.owner_id)
    video.refresh_from_db(fields=["job"])
    if video.job:
        Job.objects.filter(pk=video.job.pk).cancel()
        once_committed(discard_parts, video.job.pk)
    return Video.objects.select_for_update().get(pk=video_id)


def put_away(video: Video, former: str | None) -> None:
    """Write the video, of which this uploaded file is not wanted any more."""
    video.save(update_fields=["original", "replacement", "job"])
    video.forget_uploads()
    if former:
        once_committed(default_storage.delete, former)


def job_for(video: Video, upload: Upload) -> Job:
    args = {"video_id": str(video.pk), "original": upload.original_name}
    return transcode_video.enqueue(**args, owner=video.owner, key=str(upload.pk), size=upload.length)


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
