"""The lease: a worker's hold on the jobs it runs, kept alive by a heartbeat.

A lease ends by itself, so a dead worker cannot keep a job. It is renewed from a thread, so a busy task body cannot
lose one. Every write of an attempt names the lease's token, so a worker that was taken for dead and is not changes
nothing.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from jobs.errors import LeaseLost, TimeLimitExceeded
from jobs.interrupt import interrupt
from jobs.models import Job, State, from_now

logger = logging.getLogger(__name__)

BEAT = 0.5  # seconds: how often progress is written
RENEWAL = 2.0  # seconds: how soon a cancelled job is noticed; a lease is many times longer
KILLED_AFTER = 30.0  # seconds beyond the time limit, for a body that does not stop when told


class Heart:
    """One thread in each worker process that beats for the jobs the process holds.

    It sleeps while there are none, and first looks at a job one beat after it began: a short job costs nothing.
    """

    def __init__(self) -> None:
        self._held: list[Job] = []  # all under one lease: those of one message
        self._running: Job | None = None
        self._deadline = float("inf")  # by time.monotonic(), like all moments here
        self._renewed = 0.0
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, jobs: list[Job]) -> Iterator[None]:
        """Keep the lease of these jobs while the block runs."""
        self._renewed = time.monotonic()
        self._held = jobs
        self._wake()
        try:
            yield
        finally:
            self._held = []

    @contextmanager
    def running(self, job: Job, time_limit: timedelta) -> Iterator[None]:
        """Write the progress of `job`, one of those held, and interrupt it when its lease is lost or its time is up."""
        self._deadline = time.monotonic() + time_limit.total_seconds()
        self._running = job
        try:
            yield
        finally:
            self._running = None

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # the first job of this process
            self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
            self._thread.start()
        if not self._awake.is_set():
            self._awake.set()

    def _run(self) -> None:
        while True:
            self._awake.wait()
            time.sleep(BEAT)
            try:
                self._beat()
            except (DatabaseError, InterfaceError):
                logger.warning("Could not renew a lease", exc_info=True)
                connection.close()
                self._give_up_if_late()
            if not self._held:
                self._awake.clear()
                connection.close()

    def _beat(self) -> None:
        now = time.monotonic()
        job = self._running
        if job is not None:
            self._stop_if_over_time(job, now)
            self._write_progress(job)
        if self._held and now - self._renewed >= RENEWAL:
            self._renew(self._held)
            self._renewed = now

    def _stop_if_over_time(self, job: Job, now: float) -> None:
        if now > self._deadline + KILLED_AFTER:
            logger.error("%s did not stop at its time limit. This process ends itself.", job)
            os.kill(os.getpid(), signal.SIGKILL)
        if now > self._deadline:
            interrupt(TimeLimitExceeded(f"{job} took too long."))

    def _write_progress(self, job: Job) -> None:
        news, job.unwritten = job.unwritten, None
        if not news:
            return
        if not Job.objects.holding_lease(job.pk, job.lease_token).change(**news):
            self._lose(job)
        elif job.parent_id:
            Job.objects.filter(pk=job.parent_id).sum_up()

    def _renew(self, held: list[Job]) -> None:
        lease = Job.objects.filter(lease_token=held[0].lease_token, state=State.RUNNING)
        lease.update(lease_until=from_now(settings.JOB_LEASE))
        kept = set(lease.values_list("pk", flat=True))
        for job in held:
            if job.pk not in kept:
                self._lose(job)

    def _lose(self, job: Job) -> None:
        if job.state != State.RUNNING:  # it has just ended
            return
        job.lease_lost = True
        if job is self._running:
            interrupt(LeaseLost(str(job)))

    def _give_up_if_late(self) -> None:
        """A lease that could not be renewed in time is over, whether or not the database could be asked."""
        if time.monotonic() - self._renewed > settings.JOB_LEASE.total_seconds():
            for job in self._held:
                self._lose(job)


heart = Heart()
