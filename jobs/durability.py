"""What a worker's commits wait for.

A commit that waits for the disk costs PostgreSQL more than the rest of a short job. Of a worker's commits only those
of `finishing()` need to: what a crash of the database machine takes back besides is that an attempt began, came
further or ended with nothing to show, and then the job is simply run again. The log is written in order, so when a
commit has waited, all that the worker committed before is safe as well.
"""

from typing import Any

from celery.signals import worker_process_init
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_relaxed = False


def wait_for_disk() -> None:
    """Make the commit of this transaction wait until it is safe."""
    if _relaxed and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO on")


@worker_process_init.connect
def _relax(**_: Any) -> None:
    global _relaxed
    _relaxed = True
    connection_created.connect(_do_not_wait)


def _do_not_wait(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit TO off")
