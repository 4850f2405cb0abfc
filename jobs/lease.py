"""The lease: a worker's hold on a running job, kept alive by a heartbeat.

A lease ends by itself, so a dead worker cannot keep a job. It is renewed from a thread, so a busy task body cannot
lose one. Every write of the attempt names the lease's token, so a worker that was taken for dead and is not changes
nothing.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, connection

from jobs.models import Job, from_now

logger = logging.getLogger(__name__)

BEAT = 0.5  # seconds: how often progress is written, and how soon a cancelled job is noticed
RENEWALS_PER_LEASE = 3


class Heart:
    """One thread in each worker process that beats for the jobs the process is running.

    It sleeps while there are none, and looks at a job for the first time one beat after it began: a short job costs
    it nothing.
    """

    def __init__(self) -> None:
        self._jobs: dict[Job, float] = {}  # each with the moment it was last written, by time.monotonic()
        self._something_to_do = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def beating_for(self, job: Job) -> Iterator[None]:
        """Keep the lease of `job` and write its progress while the block runs."""
        self._jobs[job] = time.monotonic()
        self._wake()
        try:
            yield
        finally:
            del self._jobs[job]

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # the first job of this process
            self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
            self._thread.start()
        if not self._something_to_do.is_set():
            self._something_to_do.set()

    def _run(self) -> None:
        while True:
            self._something_to_do.wait()
            time.sleep(BEAT)
            for job, written in list(self._jobs.items()):
                self._beat(job, written)
            if not self._jobs:
                self._something_to_do.clear()
                connection.close()

    def _beat(self, job: Job, written: float) -> None:
        now = time.monotonic()
        lease = settings.JOB_LEASE.total_seconds()
        news, job.unwritten = job.unwritten, None
        if news is None and now - written < lease / RENEWALS_PER_LEASE:
            return
        held = Job.objects.holding_lease(job)
        lease_until = from_now(settings.JOB_LEASE)
        try:
            renewed = held.change(lease_until=lease_until, **news) if news else held.update(lease_until=lease_until)
        except DatabaseError:
            logger.warning("Could not renew the lease of %s", job, exc_info=True)
            connection.close()
            job.lease_lost = now - written > lease
            return
        if job in self._jobs:
            job.lease_lost = not renewed
            self._jobs[job] = now


heart = Heart()
