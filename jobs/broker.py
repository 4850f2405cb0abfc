"""What we say to the broker, and ask of it. It is never trusted with more than ids, and never waited for long."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import groupby, islice

from celery import current_app
from django.conf import settings
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.pools import producers

from jobs.models import Job
from jobs.registry import registry

logger = logging.getLogger(__name__)

PATIENCE = 0.3  # seconds that a request may wait for a broker that does not answer
REST = 1.0  # seconds in which nobody tries a broker that has just failed
MEMORY = "nightshift:memory"  # a key in the broker that is gone exactly when its messages are

_failed_at = float("-inf")


class BrokerDown(Exception):
    """The broker cannot be reached, or does not answer."""


def publish(jobs: Iterable[Job]) -> None:
    """Give the ids of these jobs to the broker. Never raises: what could not be sent, the clock sends later."""
    jobs = list(jobs)
    try:
        _send(jobs)
    except BrokerDown as error:
        logger.warning("%s The clock will publish what was not sent.", error)
        Job.objects.waiting().filter(pk__in=[job.pk for job in jobs]).update(published_at=None)


def _send(jobs: list[Job]) -> None:
    with _answering(), producers[_connection()].acquire(block=True) as producer, producer.batch(max_size=500):
        for bundle in _bundles(jobs):
            first = bundle[0]
            current_app.send_task(
                first.task,
                args=[[str(job.pk) for job in bundle]],
                task_id=str(first.pk),
                queue=first.queue,
                priority=first.priority,
                producer=producer,
                retry=False,
            )


def _bundles(jobs: list[Job]) -> Iterator[list[Job]]:
    """Put jobs that may travel together into one message.

    Those that were begun before travel alone: one of them may be what killed its worker, and would take the others
    with it.
    """
    for (task, again, *_), alike in groupby(jobs, key=lambda job: (job.task, job.attempt > 0, job.queue, job.priority)):
        size = registry[task].bundle if task in registry and not again else 1
        while bundle := list(islice(alike, size)):
            yield bundle


def waiting_messages(queue: str) -> int:
    """How many messages wait in a queue. Raises BrokerDown."""
    with _answering(), _connection().channel() as channel:
        return channel.queue_declare(queue=queue).message_count


def has_forgotten() -> bool:
    """Whether the broker lost its messages since this was last asked: wiped, or restarted without a disk.

    Raises BrokerDown.
    """
    with _answering(), _connection().channel() as channel:
        return bool(channel.client.set(MEMORY, 1, nx=True))


@cache
def _connection() -> Connection:
    """A connection of our own, which fails fast. Celery's would retry inside a request for seconds."""
    options = {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "max_retries": 0,
    }
    return Connection(settings.CELERY_BROKER_URL, transport_options=options)


@contextmanager
def _answering() -> Iterator[None]:
    global _failed_at
    if time.monotonic() - _failed_at < REST:
        raise BrokerDown("The broker has just failed.")
    try:
        yield
    except (KombuError, *_connection().connection_errors) as error:
        _failed_at = time.monotonic()
        raise BrokerDown(f"The broker does not answer: {error}.") from error
