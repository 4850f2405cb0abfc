"""Tasks that behave well and badly on purpose, and one as people write it without an engine."""

import os
import signal
import subprocess
import time
from datetime import timedelta

from celery import shared_task
from django.db import transaction

from jobs.family import wait_for
from jobs.models import Job
from jobs.task import task
from tests.trial.models import Entry


class Refused(Exception):
    """A permanent error."""


@task(max_attempts=20, backoff=timedelta(seconds=0.5), backoff_cap=timedelta(seconds=2))
def record(job: Job, number: int, seconds: float = 0) -> None:
    time.sleep(seconds)
    with job.finishing():
        Entry.objects.create(number=number, attempt=job.attempt)


@task()
def note_slot(job: Job, slot: str) -> str:
    return slot


@task(bundle=100)
def nothing(job: Job, number: int) -> None:
    pass


@task(max_attempts=3, backoff=timedelta(seconds=0.1), backoff_cap=timedelta(seconds=0.2))
def kill_worker(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue="media", max_attempts=3)
def long(job: Job, number: int, seconds: float = 60) -> None:
    """Says where it stands while a child process works, as a transcode does."""
    child = subprocess.Popen(["sleep", str(seconds)])
    try:
        while child.poll() is None:
            job.advance(0.5, f"child {child.pid}")
            time.sleep(0.1)
    finally:
        child.kill()
        child.wait()
    with job.finishing():
        Entry.objects.create(number=number, attempt=job.attempt)


@task(time_limit=timedelta(seconds=1), max_attempts=1)
def endless(job: Job) -> None:
    """Never says where it stands, so it must be stopped from outside."""
    while True:
        time.sleep(0.01)


@task(permanent=Refused, max_attempts=3, backoff=timedelta(seconds=1), backoff_cap=timedelta(seconds=1))
def fail(job: Job, message: str = "no", permanent: bool = False) -> None:
    raise (Refused if permanent else ValueError)(message)


@task(queue="media", max_attempts=2, backoff=timedelta(seconds=0.1), backoff_cap=timedelta(seconds=0.1))
def whole(job: Job, parts: int, seconds: float = 0, broken: int = -1) -> None:
    """Made of parts, one of which may be broken."""
    wait_for(
        job,
        [part.job(number=number, seconds=seconds, broken=number == broken, key=str(number)) for number in range(parts)],
    )
    with job.finishing():
        Entry.objects.create(number=-1, attempt=job.attempt)


@task(
    queue="media", max_attempts=3, permanent=Refused, backoff=timedelta(seconds=0.1), backoff_cap=timedelta(seconds=0.1)
)
def part(job: Job, number: int, seconds: float, broken: bool) -> None:
    time.sleep(seconds)
    if broken:
        raise Refused("This part is broken.")
    with job.finishing():
        Entry.objects.create(number=number, attempt=job.attempt)


def about(**_: object) -> dict[str, str]:
    return {"page": "/videos/"}


@task(permanent=Refused, links=about)
def make_thing(job: Job, good: bool = True, seconds: float = 0) -> None:
    """What its owner asked for, and hears of."""
    time.sleep(seconds)
    if not good:
        raise Refused("The thing <b>broke</b>.")


@shared_task(name="trial.plain_record", acks_late=True)
def plain_record(number: int, seconds: float = 0) -> None:
    time.sleep(seconds)
    with transaction.atomic():
        Entry.objects.create(number=number)


@shared_task(name="trial.plain_nothing")
def plain_nothing(number: int) -> None:
    pass
