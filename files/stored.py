"""What lies in the storage, be that a folder of this machine or an object store."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, cast

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction

from jobs import workspace
from jobs.errors import NotNow

if TYPE_CHECKING:
    from files.store import Store


class StoreAway(NotNow):
    """Our files cannot be reached at the moment."""


class Stored(NamedTuple):
    """A file of the storage."""

    name: str
    size: int  # bytes
    modified: datetime


def store() -> "Store | None":
    """The object store, if media lie in one."""
    return cast("Store", default_storage) if settings.STORE_BUCKET else None


def once_committed(act: Callable[..., object], *args: object) -> None:
    """Have files removed when the transaction is committed. What fails is logged, and swept up within the hour."""
    transaction.on_commit(lambda: act(*args), robust=True)  # Django stumbles over a `partial` that fails


def listed(folder: str) -> Iterator[Stored]:
    """All files below a folder of the storage."""
    if there := store():
        yield from there.listed(folder)
        return
    root = Path(default_storage.path(""))
    for place, _, names in os.walk(root / folder):
        for path in (Path(place, name) for name in names):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found = path.stat()
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield Stored(path.relative_to(root).as_posix(), found.st_size, modified)


def fetched(name: str, folder: Path) -> Path:
    """Where a file can be read: where it lies, or, from an object store, a copy in this folder of a family of jobs.

    The copy is made once, however many ask at the same time.
    """
    there = store()
    if there is None:
        return Path(default_storage.path(name))
    if not folder.exists():
        workspace.clean()  # the clock has this done on one machine only, and a copy needs room on each
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / PurePosixPath(name).name
    with locked(folder):
        if not path.exists():
            there.fetch(name, path)
    return path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """By the kernel, so that a process that dies lets go of it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
