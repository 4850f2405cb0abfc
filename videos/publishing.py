"""Bringing an encoded video where people can see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from files.stored import fetched
from files.storing import storing
from videos import packaging, storyboard
from videos.models import Rendition, Video
from videos.packaging import Package
from videos.probing import NotPlayable


@contextmanager
def playable(video: Video, folder: Path) -> Iterator[Path]:
    """The uploaded file, where it lies or fetched into the folder. It is discarded if it turns out not to be playable.

    Raises NotPlayable if it was discarded before.
    """
    if not video.original:
        raise NotPlayable("The uploaded file could not be played and has been removed. Upload it again.")
    try:
        yield fetched(str(video.original.name), folder)
    except NotPlayable:
        video.discard_original()
        raise


@contextmanager
def stored(package: Package, video: Video, attempt: object) -> Iterator[str]:
    """Move the files into a folder of the storage, whose name the block gets; out again if the block fails."""
    folder = f"{video.folder}/{attempt}"
    with storing(folder) as store:
        for path in package.folder.iterdir():
            store(path)
        yield folder


def publish(video: Video, package: Package, folder: str) -> None:
    """Make the video visible. Called where its job finishes, so it is ready exactly when the job has succeeded."""
    Rendition.objects.bulk_create(
        Rendition(video=video, name=one.name, width=one.width, height=one.height, file=f"{folder}/{one.playlist}")
        for one in package.renditions
    )
    video.duration = package.duration
    video.playlist = f"{folder}/{packaging.MASTER}"
    video.mp4 = f"{folder}/{packaging.PROGRESSIVE}"
    video.poster = f"{folder}/{packaging.POSTER}"
    video.storyboard = f"{folder}/{storyboard.INDEX}"
    video.save(update_fields=["duration", "playlist", "mp4", "poster", "storyboard"])
