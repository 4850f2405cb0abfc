"""Uploads that go straight to the object store, in parts, and become a video once all of them are there.

How much has arrived only the store knows: neither a row nor the sender is asked. What arrives lies from the beginning
under the name that the original of the video will have, so nothing is moved in the end.
"""

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from files.stored import store
from videos import resumable
from videos.models import Upload, Video, metadata_of
from videos.resumable import NotThere
from videos.uploads import Refused, check_length

if TYPE_CHECKING:
    from files.store import Store

MOST_PARTS = 10_000  # of one upload, by S3
SIGNED_FOR = 3600  # seconds in which a part can be sent after it was asked for
STRAY = timedelta(days=1)  # what was begun at the store, by whomever, and is older belongs to nobody without a row


class Incomplete(Refused):
    status = 409


def begin(owner: Any, length: int, **said: str) -> Upload:
    """Announce an upload of so many bytes, and what its sender says of it. Raises Refused."""
    there = the_store()
    check_length(length)
    upload = Upload(owner=owner, length=length, metadata=metadata_of(said), expires_at=resumable.expiry())
    upload.replaces = resumable.replaced_by(upload)  # by which it is known where to put it
    upload.multipart = there.begin(upload.original_name)  # before there is the row: it is not to be kept waiting in one
    try:
        with transaction.atomic():
            resumable.admit(upload)
            upload.save(force_insert=True)
    except BaseException:
        there.abort(upload.original_name, upload.multipart)
        raise
    return upload


def find(owner: Any, upload_id: UUID) -> Upload:
    """Raises NotThere, Expired."""
    the_store()
    return resumable.find(owner, upload_id, multipart=True)


def part_bytes(upload: Upload) -> int:
    """How much is in each part but the last."""
    return max(settings.UPLOAD_PART_BYTES, ceil(upload.length / MOST_PARTS))


def sizes(upload: Upload) -> dict[int, int]:
    """Of all its parts, by their numbers, from 1."""
    step = part_bytes(upload)
    starts = range(0, upload.length, step)
    return {number: min(step, upload.length - start) for number, start in enumerate(starts, start=1)}


def arrived(upload: Upload) -> dict[int, str]:
    """The parts that are there as they should be, with the tags that the store gave them."""
    if upload.video_id:
        return dict.fromkeys(sizes(upload), "")
    parts = the_store().parts(upload.original_name, str(upload.multipart))
    expected = sizes(upload)
    return {part.number: part.tag for part in parts if expected.get(part.number) == part.size}


def address_of_part(upload: Upload, number: int) -> str:
    """Where this part can be sent, of its exact size and no other. Keeps the upload alive. Raises NotThere."""
    size = sizes(upload).get(number)
    if size is None or upload.video_id:
        raise NotThere("This upload waits for no such part.")
    resumable.note(upload)
    return the_store().address_of_part(upload.original_name, str(upload.multipart), number, size, SIGNED_FOR)


def finish(upload: Upload) -> Video:
    """Make the video. Repeated, or after a crash anywhere in it, it does what is left. Raises Incomplete, NotThere."""
    if not upload.video_id:
        complete(upload)
        resumable.hand_on(upload)
    video = Video.objects.select_related("job").filter(upload=upload).first()
    if video is None:
        raise NotThere("The video of this upload was deleted.")
    return video


def complete(upload: Upload) -> None:
    """Have the store put the parts together, and look at what became of them."""
    there, name = the_store(), upload.original_name
    if not is_whole(upload):
        tags, number = arrived(upload), len(sizes(upload))
        if len(tags) < number:
            raise Incomplete(f"{len(tags)} of {number} parts are here. Send the others first.")
        there.complete(name, str(upload.multipart), tags)
        if not is_whole(upload):
            raise NotThere("This upload is not there any more. Begin a new one.")


def is_whole(upload: Upload) -> bool:
    return the_store().size_if_any(upload.original_name) == upload.length


def tidy() -> int:
    """Make videos of what is all there, and give up what has expired. Returns how many were given up.

    At the store, too, nothing is left of what was begun and never completed, be it by a worker that was killed.
    """
    there = store()
    if there is None:
        return 0
    removed = 0
    for upload in Upload.objects.filter(video=None, multipart__isnull=False):
        if is_whole(upload):
            resumable.hand_on(upload)
        elif upload.expired:
            resumable.remove(upload)
            removed += 1
    begun = [*there.begun(before=timezone.now() - STRAY)]
    known = set(Upload.objects.filter(video=None).values_list("multipart", flat=True))
    for name, multipart in begun:
        if multipart not in known:
            there.abort(name, multipart)
    return removed


def the_store() -> "Store":
    there = store()
    if there is None:
        raise NotThere("This site keeps its media in no object store. Upload by tus, at /api/uploads.")
    return there
