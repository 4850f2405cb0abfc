"""Folders for the files of an attempt, and for those that the parts of a job leave to it."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Q

from jobs.handover import SharedDisk, handover
from jobs.interrupt import shielded
from jobs.models import UNFINISHED, Job, JobQuerySet, State, from_now

PARTS = "parts"  # in WORK_DIR: by the parent's id, and then by generation
FETCHED = "fetched"  # in WORK_DIR: by the parent's id
KEPT_IF_DEAD = timedelta(days=1)  # so that an operator who requeues it soon has nothing repeated
BATCH = 200  # folders for which the database is asked at once


@contextmanager
def workspace(job: Job) -> Iterator[Path]:
    """An empty folder that is removed when the block ends, whatever ends it.

    Each attempt has its own, so a worker that was taken for dead cannot disturb its successor; what a killed attempt
    left is removed by the next one on the same machine.
    """
    folder = settings.WORK_DIR / str(job.pk)
    shutil.rmtree(folder, ignore_errors=True)
    attempt = folder / str(job.lease_token)
    attempt.mkdir(parents=True)
    try:
        yield attempt
    finally:
        with shielded():
            shutil.rmtree(attempt, ignore_errors=True)
            with suppress(OSError):  # a successor is at work in it
                folder.rmdir()


def parts_folder(parent: Job) -> Path:
    """Where children leave what they make for this job. It stays from attempt to attempt, until it is discarded.

    Without an object store WORK_DIR has to be on a disk that all workers of the queue share. The name of the folder is
    its generation, and belongs into the children's keys: when it was discarded, they have to be made anew.
    """
    home = _parts_of(parent.pk)
    for generation in handover().folders(home):
        return generation
    made = home / uuid4().hex[:8]
    handover().make(made)
    return made


def gathered(parts: Path, folder: Path) -> Path:
    """Where the parts can be read: where they are, or brought into this folder of the attempt."""
    return handover().gather(parts, into=folder / PARTS)


@contextmanager
def part(child: Job, generation: str, name: str) -> Iterator[Path | None]:
    """A path for what a child makes, in the workspace of its attempt. It is brought to its place when the block ends.

    So a part is there as a whole or not at all, and is made once: the path is None if it is there already. Whoever was
    still at one when the parent was cancelled removes all there is.
    """
    assert child.parent_id
    place = _parts_of(child.parent_id) / generation / name
    try:
        if handover().has(place):
            yield None
            return
        with workspace(child) as folder:
            yield folder / name
            handover().put(folder / name, place)
    finally:
        if Job.objects.filter(pk=child.parent_id, state=State.CANCELLED).exists():
            discard_parts(child.parent_id)


def discard_parts(parent_id: UUID | None) -> None:
    """With what was fetched to make them."""
    handover().discard(_parts_of(parent_id))
    shutil.rmtree(_fetched_for(parent_id), ignore_errors=True)


def fetched_for(job: Job) -> Path:
    """A folder for copies of files that lie elsewhere. It serves all of a family on this machine, in all attempts.

    It need not be there yet, and is discarded with the parts.
    """
    return _fetched_for(job.parent_id or job.pk)


def clean() -> int:
    """Remove what workers that were killed left, and parts that nobody waits for. Returns how many folders."""
    removed = 0
    disk, there = SharedDisk(), handover()
    homes = [(disk, settings.WORK_DIR), (disk, settings.WORK_DIR / FETCHED), (there, settings.WORK_DIR / PARTS)]
    folders = ((where, path) for where, home in homes for path in named_by_ids(where.folders(home)))
    while batch := list(islice(folders, BATCH)):
        kept = set(_may_go_on().filter(pk__in=[path.name for _, path in batch]).values_list("pk", flat=True))
        for where, path in batch:
            if UUID(path.name) not in kept:
                where.discard(path)
                removed += 1
    return removed


def _may_go_on() -> JobQuerySet:
    return Job.objects.filter(Q(state__in=UNFINISHED) | Q(state=State.DEAD, finished_at__gt=from_now(-KEPT_IF_DEAD)))


def named_by_ids(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that have ids of rows for names."""
    for path in paths:
        with suppress(ValueError):
            UUID(path.name)
            yield path


def _parts_of(parent_id: Any) -> Path:
    return settings.WORK_DIR / PARTS / str(parent_id)


def _fetched_for(parent_id: Any) -> Path:
    return settings.WORK_DIR / FETCHED / str(parent_id)
