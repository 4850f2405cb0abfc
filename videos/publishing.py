"""Bringing an encoded video where people can see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from files.storing import storing
from videos.models import Rendition, Video
from videos.probing import NotPlayable
from videos.transcoding import Encoded


class Stored(NamedTuple):
    """What was encoded, with the names of its files in the storage."""

    duration: float
    poster: str
    renditions: list[Rendition]


def original_of(video: Video) -> Path:
    """Where the uploaded file lies. Raises NotPlayable if it was removed because an attempt could not play it."""
    if not video.original:
        raise NotPlayable("The uploaded file could not be played and has been removed. Upload it again.")
    return Path(video.original.path)


@contextmanager
def stored(encoded: Encoded, video: Video, attempt: object) -> Iterator[Stored]:
    """Move the encoded files into the storage; out again if the block fails."""
    with storing(f"{video.folder}/{attempt}") as store:
        renditions = [
            Rendition(video=video, name=one.name, width=one.width, height=one.height, file=store(one.path))
            for one in encoded.renditions
        ]
        yield Stored(encoded.duration, store(encoded.poster), renditions)


def publish(video: Video, files: Stored) -> None:
    """Make the video visible. Called where its job finishes, so it is ready exactly when the job has succeeded."""
    Rendition.objects.bulk_create(files.renditions)
    video.duration = files.duration
    video.poster = files.poster
    video.save(update_fields=["duration", "poster"])
