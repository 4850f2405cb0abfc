"""How children hand over what they make for their parent: on a disk that all workers share, or by an object store.

A place is named by its path in WORK_DIR, whether or not it lies there. What is put there is there as a whole or not at
all, and whoever is first wins.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from jobs.interrupt import shielded

TAR = ".tar"  # after the name of what was handed over by an object store, in one file each


class SharedDisk:
    def folders(self, home: Path) -> Iterator[Path]:
        """One after the other, however many there are."""
        yield from map(Path, os.scandir(home) if home.exists() else ())

    def make(self, folder: Path) -> None:
        folder.mkdir(parents=True)

    def has(self, place: Path) -> bool:
        return place.exists()

    def put(self, made: Path, place: Path) -> None:
        with shielded():
            try:
                made.rename(place)
            except OSError:
                if not place.exists():  # else a worker that was taken for dead was first
                    raise

    def gather(self, folder: Path, into: Path) -> Path:
        """Where all that was put into the folder can be read."""
        return folder

    def discard(self, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)


class ObjectStore:
    """By way of Django's storage, where media lie as well."""

    def folders(self, home: Path) -> Iterator[Path]:
        for name in default_storage.listdir(_name(home))[0]:
            yield home / name

    def make(self, folder: Path) -> None:
        default_storage.save(_name(folder / "made"), ContentFile(b""))  # a store knows no folders, only files in them

    def has(self, place: Path) -> bool:
        return default_storage.exists(_name(place) + TAR)

    def put(self, made: Path, place: Path) -> None:
        packed = made.with_name(made.name + TAR)
        with tarfile.open(packed, "w") as tar:
            tar.add(made, arcname=made.name)
        with packed.open("rb") as file:
            default_storage.save(_name(place) + TAR, File(file))

    def gather(self, folder: Path, into: Path) -> Path:
        for name in default_storage.listdir(_name(folder))[1]:
            if name.endswith(TAR):
                with default_storage.open(_name(folder / name)) as file, tarfile.open(fileobj=file, mode="r|") as tar:
                    tar.extractall(into, filter="data")
        return into

    def discard(self, home: Path) -> None:
        for folder in self.folders(home):
            for name in default_storage.listdir(_name(folder))[1]:
                default_storage.delete(_name(folder / name))


def handover() -> SharedDisk | ObjectStore:
    return ObjectStore() if settings.STORE_BUCKET else SharedDisk()


def _name(place: Path) -> str:
    return place.relative_to(settings.WORK_DIR).as_posix()
