"""A folder for the files of one attempt."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from jobs.interrupt import shielded
from jobs.models import Job


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
