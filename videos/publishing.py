"""Bringing an encoded video where people can see it, in one transaction with the success of its job.

So what was visible before stays, with its files, until that commit. What a crash right after it leaves is an orphan.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files.storage import default_storage

from files.stored import fetched, once_committed
from files.storing import storing
from videos import packaging, storyboard
from videos.models import Rendition, Video, delete_files
from videos.packaging import Package
from videos.probing import NotPlayable


@contextmanager
def playable(video: Video, name: str, folder: Path) -> Iterator[Path]:
    """A file uploaded for the video, where it lies or fetched into the folder. One that cannot be played is discarded.

    Raises NotPlayable if it was discarded before, or another has taken its place.
    """
    if not video.is_made_of(name):
        raise NotPlayable(
            "The uploaded file could not be played or was replaced, and has been removed. Upload it again."
        )
    try:
        yield fetched(name, folder)
    except NotPlayable:
        video.discard(name)
        raise


@contextmanager
def stored(package: Package, video: Video, attempt: object) -> Iterator[str]:
    """Move the files into a folder of the storage, whose name the block gets; out again if the block fails."""
    folder = f"{video.folder}/{attempt}"
    with storing(folder) as store:
        for path in package.folder.iterdir():
            store(path)
        yield folder


def publish(video: Video, original: str, package: Package, folder: str) -> None:
    """Make the video visible, in the place of what was visible before.

    Called where its job finishes, so it is ready exactly when the job has succeeded. original: of what it was made.
    """
    video = Video.objects.select_for_update().get(pk=video.pk)
    if video.published_in not in ("", video.folder):
        once_committed(delete_files, video.published_in)
    if video.replacement and original == video.replacement.name:
        once_committed(default_storage.delete, str(video.original.name))
        video.original, video.replacement = original, ""
    video.renditions.all().delete()
    Rendition.objects.bulk_create(
        Rendition(video=video, name=one.name, width=one.width, height=one.height, file=f"{folder}/{one.playlist}")
        for one in package.renditions
    )
    video.duration = package.duration
    video.playlist = f"{folder}/{packaging.MASTER}"
    video.mp4 = f"{folder}/{packaging.PROGRESSIVE}"
    video.poster = f"{folder}/{packaging.POSTER}"
    video.storyboard = f"{folder}/{storyboard.INDEX}"
    video.save()
    video.forget_uploads()
