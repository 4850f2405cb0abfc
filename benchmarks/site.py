"""A running site to measure: the processes of the Procfile, with real servers of their own."""

import atexit
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import django

from tests.postgres import postgres

if TYPE_CHECKING:
    from tests.stack import Stack


_servers = ExitStack()
atexit.register(_servers.close)


@contextmanager
def running(*, database: str = "postgres", only: list[str] | None = None, **env: str) -> Iterator["Stack"]:
    """Start it and end it. PostgreSQL is as safe as it comes: it waits for the disk."""
    prepare()
    from tests.stack import Stack

    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder, ExitStack() as ending:
        site = Stack(Path(folder), database=database, only=only, env=env)
        ending.callback(site.close)
        site.start()
        with site.inside():
            yield site


@cache
def prepare() -> None:
    """Set Django up in this process as in production, with servers that live as long as it does."""
    os.environ.update(
        DATA_DIR=_servers.enter_context(tempfile.TemporaryDirectory(prefix="nightshift-bench-")),
        DATABASE_URL=_servers.enter_context(postgres(safe=True)).url,
        DJANGO_SETTINGS_MODULE="config.settings",
        EXTRA_APPS="tests.trial",
        STRANGER_MAILS_PER_HOUR="1000000",  # all visitors come from one address
        LOG_LEVEL="ERROR",
        DEBUG="0",  # with it on, Django keeps every query
        SECRET_KEY=secrets.token_hex(),
        ALLOWED_HOSTS="127.0.0.1",
    )
    django.setup()


def static_files() -> str:
    """What the pages of a site as in production refer to."""
    prepare()
    from django.conf import settings
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    return str(settings.STATIC_ROOT)
