"""Moving what an attempt has made into the storage, so that files are there exactly when their rows are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage

from jobs.interrupt import shielded


@contextmanager
def storing(folder: str) -> Iterator[Callable[[Path], str]]:
    """Gives what moves a file into this folder of the storage and returns its name there. Out again if the block fails.

    The folder is to be the attempt's own. So one that lost its lease takes its own files away, and never those of the
    attempt that won.
    """
    names: list[str] = []

    def store(path: Path) -> str:
        names.append(f"{folder}/{path.name}")  # first: what takes long may be interrupted
        with Moving(path) as file:
            return default_storage.save(names[-1], file)

    try:
        yield store
    except BaseException:
        with shielded():
            for name in names:
                default_storage.delete(name)
        raise


class Moving(File):
    """A file that may be moved rather than copied, which a storage on the same disk does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"))
        self.path = path

    def temporary_file_path(self) -> str:
        return str(self.path)
