"""Bringing an encoded video where people can see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.core.files import File
from django.core.files.storage import default_storage

from jobs.interrupt import shielded
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
    """Move the encoded files into the storage, under names of this attempt alone; out again if the block fails.

    So an attempt that lost its lease takes its own files away, and never those of the attempt that won.
    """
    names: list[str] = []

    def store(path: Path) -> str:
        with Moving(path) as file, shielded():  # lest an interruption come between a file and its name
            names.append(default_storage.save(f"{video.folder}/{attempt}/{path.name}", file))
        return names[-1]

    try:
        renditions = [
            Rendition(video=video, name=one.name, width=one.width, height=one.height, file=store(one.path))
            for one in encoded.renditions
        ]
        yield Stored(encoded.duration, store(encoded.poster), renditions)
    except BaseException:
        with shielded():
            for name in names:
                default_storage.delete(name)
        raise


def publish(video: Video, files: Stored) -> None:
    """Make the video visible. Called where its job finishes, so it is ready exactly when the job has succeeded."""
    Rendition.objects.bulk_create(files.renditions)
    video.duration = files.duration
    video.poster = files.poster
    video.save(update_fields=["duration", "poster"])


class Moving(File):
    """A file that may be moved rather than copied, which a storage on the same disk does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"))
        self.path = path

    def temporary_file_path(self) -> str:
        return str(self.path)
