"""Removing orphans: files that no row names.

A process that was killed leaves them between a file and the commit that names it, or between the deletion of a video
and that of its files. What anything happened to lately is not touched, nor is anything of an upload that is not
finished, or of a video whose job may go on.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import FileField, Q
from django.utils import timezone

from files.stored import Stored, store
from jobs.handover import SharedDisk
from jobs.workspace import named_by_ids
from videos.models import FOLDER, Upload, Video

if TYPE_CHECKING:
    from files.store import Store

GRACE = timedelta(days=1)  # longer than any request or attempt lasts: what is younger may be named yet
BATCH = 200  # folders for which the database is asked at once
OF_A_REQUEST = re.compile(r"tmp[^.]*\.upload.*")  # what Django calls a file that it receives


def remove_torn_uploads() -> int:
    """Remove what was received by web processes that were killed before they had handed it on. Returns how many."""
    removed = 0
    for path in map(Path, os.scandir(settings.FILE_UPLOAD_TEMP_DIR)):
        if path.is_file() and OF_A_REQUEST.fullmatch(path.name) and is_old(path):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def remove_orphans() -> Iterator[int]:
    """Remove files of no video, and empty folders. Yields for each batch of folders how many files there were."""
    folders = in_store(there) if (there := store()) else on_disk()
    while batch := dict(islice(folders, BATCH)):
        # First, as one that becomes a video meanwhile is then found to be one.
        unfinished = Upload.objects.filter(Q(pk__in=batch) | Q(replaces__in=batch), video=None)
        arriving = {upload.replaces_id or upload.pk for upload in unfinished}
        videos = Video.objects.select_related("job").prefetch_related("renditions").in_bulk(list(batch))
        yield sum(clear(folder, videos.get(pk)) for pk, folder in batch.items() if pk not in arriving)


Folder = Path | list[Stored]  # of a video, on disk or as listed by an object store, which knows no folders


def on_disk() -> Iterator[tuple[UUID, Folder]]:
    for folder in named_by_ids(SharedDisk().folders(Path(default_storage.path(FOLDER)))):
        yield UUID(folder.name), folder


def in_store(there: "Store") -> Iterator[tuple[UUID, Folder]]:
    for name, files in groupby(there.listed(FOLDER), key=lambda file: file.name.split("/")[1]):
        with suppress(ValueError):
            yield UUID(name), list(files)


def clear(folder: Folder, video: Video | None) -> int:
    """Remove what is nobody's in the folder of a video. Returns how many files."""
    if video and video.job and not video.job.finished:
        return 0
    kept = named_by(video) if video else set()
    return clear_disk(folder, kept) if isinstance(folder, Path) else clear_store(folder, kept)


def clear_store(files: list[Stored], kept: set[PurePosixPath]) -> int:
    before = timezone.now() - GRACE
    old = [PurePosixPath(file.name) for file in files if file.modified < before]
    orphans = [name for name in old if kept.isdisjoint((name, *name.parents))]
    for name in orphans:
        default_storage.delete(str(name))
    return len(orphans)


def clear_disk(folder: Path, kept: set[PurePosixPath]) -> int:
    """The folder goes too, if nothing is left in it."""
    root = Path(default_storage.path(""))
    removed = 0
    old = [(Path(place), files) for place, _, files in os.walk(folder) if is_old(Path(place))]
    for place, files in reversed(old):  # the innermost first, so that what becomes empty can go
        for path in (place / name for name in files):
            name = PurePosixPath(path.relative_to(root))
            if kept.isdisjoint((name, *name.parents)) and is_old(path):
                path.unlink(missing_ok=True)
                removed += 1
        with suppress(OSError):  # something is left
            place.rmdir()
    return removed


def named_by(video: Video) -> set[PurePosixPath]:
    """The files that its row and its renditions name, and where they lie: a playlist names others beside it.

    For the folder of the video itself that does not hold: what lies there is named or is not.
    """
    rows = (video, *video.renditions.all())
    files = [getattr(row, field.name) for row in rows for field in row._meta.fields if isinstance(field, FileField)]
    named = {PurePosixPath(str(file.name)) for file in files if file}
    return named | {name.parent for name in named} - {PurePosixPath(video.folder)}


def is_old(path: Path) -> bool:
    """Whether nothing was written to it, or if a folder put into it or taken out, for as long as the grace is.

    What has been moved is as old as it was before. Its folder is not.
    """
    try:
        return path.stat().st_mtime < time.time() - GRACE.total_seconds()
    except FileNotFoundError:  # somebody else has just removed it
        return False
