"""Uploads that are sent in as many requests as it takes, and become a video once all of it is here.

What has arrived is in one file for each, in `UPLOAD_DIR`, and the size of that file is the truth about how much it is:
it cannot disagree with itself, whatever crashes, and no row is written for a byte.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from files.stored import once_committed, store
from files.storing import Moving
from videos.models import Upload, Video, lock_owner
from videos.uploads import Refused, check_length, check_quota, hand_over, keep, one_line, title_from

COPIED_AT_ONCE = 64 * 1024 * 1024  # bytes
STRAY = timedelta(hours=1)  # a file without a row that is older belongs to nobody


class TooMany(Refused):
    status = 429


class NotThere(Refused):
    """There is no such upload, or it is another person's."""

    status = 404


class Expired(Refused):
    status = 410


class Busy(Refused):
    """Another request is writing to it."""

    status = 423


# --- arriving ---


@transaction.atomic
def begin(owner: Any, length: int, metadata: str = "", *, partial: bool = False) -> Upload:
    """Announce an upload of so many bytes. Metadata may name a video that it `replaces`. Raises Refused."""
    check_length(length)
    upload = Upload(owner=owner, length=length, metadata=metadata, partial=partial, expires_at=expiry())
    admit(upload)
    upload.path.touch()  # before there is the row: a row always has its file
    upload.save(force_insert=True)
    return upload


def admit(upload: Upload) -> None:
    """Whether there is room for it, and the video that it is to replace. In the transaction that writes it.

    Raises Refused.
    """
    lock_owner(upload.owner_id)  # so that two announced at once do not both take the last room
    if Upload.objects.open().filter(owner=upload.owner).count() >= settings.MAX_OPEN_UPLOADS:
        raise TooMany("You have begun too many uploads. Finish or cancel some of them first.")
    check_quota(upload.owner, upload.length)
    upload.replaces = replaced_by(upload)


def replaced_by(upload: Upload) -> Video | None:
    """The video that it says it replaces. Raises NotThere."""
    wanted = upload.said.get("replaces")
    if not wanted:
        return None
    try:
        return Video.objects.get(pk=UUID(wanted), owner=upload.owner)
    except (ValueError, Video.DoesNotExist):
        raise NotThere("There is no such video to replace.") from None


def find(owner: Any, upload_id: UUID, *, multipart: bool = False) -> Upload:
    """Raises NotThere, Expired."""
    upload = Upload.objects.filter(pk=upload_id, owner=owner, multipart__isnull=not multipart).first()
    if upload is None:
        raise NotThere("There is no such upload. Begin a new one.")
    if upload.expired:
        raise Expired("Nothing arrived for too long, so this upload was given up. Begin a new one.")
    return upload


def begun(owner: Any, replaces: Video | None = None) -> list[Upload]:
    """Those of a person that wait for more to be sent, for new videos or for this one, and that the page can send."""
    open_ones = Upload.objects.open().filter(owner=owner, partial=False, replaces=replaces)
    uploads = open_ones.filter(multipart__isnull=not store())
    return [upload for upload in uploads if upload.multipart or not upload.complete]


@contextmanager
def opened(upload: Upload) -> Iterator[int]:
    """Its file, to append to, while nobody else may. Raises Busy, NotThere.

    The lock is the kernel's, on the file: it holds between all web processes that share the disk, and a process that
    dies lets go of it. What a process that died had written without knowing its checksum is cut off.
    """
    try:
        file = os.open(upload.path, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        raise NotThere("There is no such upload any more.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    except BlockingIOError:
        raise Busy("Another request is still sending to this upload. Try again in a moment.") from None
    finally:
        os.close(file)


def reload(upload: Upload, file: int) -> None:
    """Once the file is locked: look at the row anew, and cut off what a dead process left. Raises NotThere."""
    try:
        upload.refresh_from_db()
    except Upload.DoesNotExist:
        raise NotThere("There is no such upload any more.") from None
    if upload.unverified_from is not None:
        os.ftruncate(file, upload.unverified_from)
        note(upload)


def note(upload: Upload, unverified_from: int | None = None) -> None:
    """Write down that more arrived, or is about to and waits for its checksum from there on. Raises NotThere."""
    upload.unverified_from, upload.expires_at = unverified_from, expiry()
    if not Upload.objects.filter(pk=upload.pk).update(unverified_from=unverified_from, expires_at=upload.expires_at):
        raise NotThere("This upload was given up.")


# --- becoming a video ---


def finish(upload: Upload) -> None:
    """Make the video of an upload that is all there. Repeated, or after a crash anywhere in it, it does what is left.

    The file is renamed before the commit, to a name that follows from the upload's id. So whoever finds the row
    unfinished finds the file in one of two places.
    """
    with suppress(FileNotFoundError):  # it has been renamed already
        flush(upload.path)  # whoever hears that all is here may throw the original away
        if store():  # to which it is copied: too slow for a transaction
            put(upload)
    hand_on(upload)
    upload.path.unlink(missing_ok=True)  # of what was copied


def hand_on(upload: Upload) -> None:
    """Make the video and its job, unless somebody else just did. Raises NotThere."""
    with transaction.atomic():
        lock_owner(upload.owner_id)
        kept = Upload.objects.filter(pk=upload.pk).first()
        if kept is None:
            raise NotThere("There is no such upload any more.")
        if kept.video_id is None:
            kept.video = video_of(kept)
            kept.save(update_fields=["video"])
    upload.video_id = kept.video_id


def video_of(upload: Upload) -> Video:
    if upload.path.exists() and not store():
        put(upload)
    return hand_over(upload, one_line(upload.said.get("title", "")) or title_from(upload.file_name))


def put(upload: Upload) -> None:
    """Into the storage, where the original of its video is to lie."""
    with Moving(upload.path) as file:
        default_storage.save(upload.original_name, file)


def flush(path: Path) -> None:
    """Have the disk hold it."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


# --- putting parts together ---


def concatenate(owner: Any, ids: list[UUID], metadata: str, parts: str) -> Upload:
    """Put partial uploads together, which ends them. Asked again, returns what it made. Raises Refused."""
    if ids and (made := Upload.objects.filter(owner=owner, parts=parts).first()):
        return made
    pieces = [find(owner, upload_id) for upload_id in ids]
    if not pieces or not all(piece.partial and piece.complete for piece in pieces):
        raise Refused("Only partial uploads that are complete can be put together.")
    whole = Upload(owner=owner, metadata=metadata, parts=parts, expires_at=expiry())
    replaced_by(whole)  # before it is worth the copying
    whole.length = sum(piece.length for piece in pieces)
    check_length(whole.length)
    try:
        copy([piece.path for piece in pieces], whole.path)
        return replace(pieces, whole)
    except FileNotFoundError:
        raise NotThere("A part of this upload is not there any more.") from None
    finally:
        if not Upload.objects.filter(pk=whole.pk).exists():
            whole.path.unlink(missing_ok=True)


def copy(sources: list[Path], target: Path) -> None:
    """One after the other, inside the kernel."""
    with target.open("wb") as out:
        for source in sources:
            with source.open("rb") as part:
                while os.copy_file_range(part.fileno(), out.fileno(), COPIED_AT_ONCE):
                    pass


@transaction.atomic
def replace(pieces: list[Upload], whole: Upload) -> Upload:
    """Exchange the rows of the parts for that of the whole, unless somebody else just did."""
    lock_owner(whole.owner_id)
    if made := Upload.objects.filter(owner=whole.owner, parts=whole.parts).first():
        return made
    whole.replaces = replaced_by(whole)
    whole.save(force_insert=True)
    for piece in pieces:
        remove(piece)
    return whole


# --- giving up ---


def remove(upload: Upload) -> None:
    """Give it up, with all that arrived. Of a finished one the video goes, too, unless it was there before."""
    with transaction.atomic():
        lock_owner(upload.owner_id)  # and not its row, for which whoever publishes waits with the job in hand
        kept = Upload.objects.filter(pk=upload.pk).first()
        if kept and kept.video and kept.replaces_id:
            if kept.original_name == kept.video.replacement.name:
                keep(kept.video)
        elif kept and kept.video:
            kept.video.remove()
        elif kept:
            kept.delete()
            once_committed(discard, upload)


def discard(upload: Upload) -> None:
    upload.path.unlink(missing_ok=True)
    if upload.multipart and (there := store()):
        there.abort(upload.original_name, upload.multipart)
    default_storage.delete(upload.original_name)  # where a process that died may have put it


def tidy() -> int:
    """Finish what is all there and was left alone, and remove what has expired. Returns how many were removed."""
    removed = 0
    for upload in Upload.objects.filter(video=None, multipart=None):
        if upload.complete and not upload.partial:
            finish(upload)
        elif upload.expired:
            here = upload.path.exists()  # else it arrived at another machine
            with suppress(Busy, NotThere), opened(upload) if here else nullcontext():
                remove(upload)
                removed += 1
    remove_strays()
    return removed


def remove_strays() -> None:
    """Files whose rows were never written, or are gone."""
    before = (timezone.now() - STRAY).timestamp()
    old = [path for path in settings.UPLOAD_DIR.iterdir() if path.stat().st_mtime < before]
    known = {str(pk) for pk in Upload.objects.filter(video=None).values_list("pk", flat=True)}
    for path in old:
        if path.name not in known:
            path.unlink(missing_ok=True)


def expiry() -> datetime:
    return timezone.now() + settings.UPLOAD_LIFE
