"""A whole running site for one test: the Procfile's processes on a database, a Valkey and a port of their own."""

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import StringIO
from pathlib import Path
from signal import SIGKILL
from typing import ClassVar
from uuid import uuid4

import dj_database_url
import httpx
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend
from django.test import override_settings

from config import parts
from config.processes import GRACE, Processes, procfile
from jobs import broker
from jobs.models import Job
from tests.linux import alive_in
from tests.trial.models import Entry
from tests.waiting import wait_until

ROOT = Path(settings.BASE_DIR)
TEMPLATE = "template_of_stacks"
NEWS = re.compile(r" ready\.$|Warm shutdown|; starting again in ")  # of a worker, in its output

logging.getLogger("httpx").setLevel(logging.WARNING)


class Stack:
    """Made by the fixtures `make_stack` and `make_module_stack`. `log` is what its processes print."""

    running: ClassVar[list["Stack"]] = []

    def __init__(self, folder: Path, *, database: str, only: list[str] | None, env: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")},
            "DATA_DIR": str(folder),
            "PORT": str(self.port),
            "SITE_URL": self.url,
            "GATEWAY_PORT": str(free_port()),
            "DATABASE_URL": new_database(database, folder),
            **env,
        }
        self.log = folder / "log"
        self._output = self.log.open("w")
        lines = procfile(ROOT / "Procfile")
        self.processes = Processes(
            {name: lines[name.partition(":")[0]] for name in only or lines}, self.env, self._output
        )
        self.http = httpx.Client(base_url=self.url, timeout=60)

    # --- its life ---

    def start(self) -> None:
        """Start it, and wait until all that serves is there."""
        self.running.append(self)
        self.processes.start()
        wait_until(self.ready, timeout=60)

    def ready(self) -> bool:
        workers = [name for name in self.processes if name.startswith("worker-")]
        return ("web" not in self.processes or self.healthy()) and all(map(self.worker_ready, workers))

    def close(self) -> None:
        self.running.remove(self)
        self.http.close()
        self.processes.stop(grace=0)  # what it does in peace is shown by tests of its own
        self._output.close()

    # --- its processes, by their names in the Procfile; "clock:2" is a second of its line "clock" ---

    def kill(self, name: str, number: int = SIGKILL) -> None:
        """Send a signal to the process and its children at once. What dies of it is started again by itself."""
        self.processes[name].kill(number)

    def stop(self, name: str) -> None:
        """End it in order. It stays away until `start_again()`."""
        self.processes[name].ask_to_end()
        self.processes[name].wait(time.monotonic() + GRACE)

    def start_again(self, name: str) -> None:
        self.processes[name].start()

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start_again(name)

    def pid(self, name: str) -> int:
        return wait_until(lambda: self.processes[name].pid)

    def children(self, name: str) -> list[int]:
        """The processes in the group of this one: Celery's pool, and what its tasks run."""
        pid = self.pid(name)
        return [other for other in alive_in(pid) if other != pid]

    # --- talking to it ---

    def manage(self, *args: str) -> str:
        """Run a management command on its database, from here: Django takes seconds to start. Return what it prints."""
        printed = StringIO()
        with self.inside(), override_settings(DEBUG=self.env.get("DEBUG") != "0"):
            call_command(*args, stdout=printed)
        return printed.getvalue().strip()

    @contextmanager
    def inside(self) -> Iterator["Stack"]:
        """Let this test's own models read and write the database of the site, and its tasks use the site's broker."""
        here = connections["default"]
        connections["default"] = there = connection_to(self.env["DATABASE_URL"])
        broker._connection.cache_clear()
        try:
            with override_settings(CELERY_BROKER_URL=f"redis+socket://{parts.valkey_socket(self.folder)}"):
                yield self
        finally:
            there.close()
            connections["default"] = here
            broker._connection.cache_clear()

    @contextmanager
    def cleared(self) -> Iterator["Stack"]:
        """Inside, without the jobs of the tests before that share it, and without their effects."""
        with self.inside():
            Job.objects.all().delete()
            Entry.objects.all().delete()
            yield self

    def files(self, *folders: str) -> set[Path]:
        """What lies below these folders of its DATA_DIR. By os.walk(), since they may go while it looks."""
        places = [self.folder / name for name in folders]
        return {Path(folder, name) for place in places for folder, _, names in os.walk(place) for name in names}

    def healthy(self) -> bool:
        try:
            return self.http.get("/health").is_success
        except httpx.TransportError:
            return False

    def worker_ready(self, name: str) -> bool:
        """Whether the last news of this worker are good."""
        news = [line for line in self.log.read_text().splitlines() if line.startswith(name) and NEWS.search(line)]
        return bool(news) and news[-1].endswith("ready.")

    def tail(self, lines: int = 100) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:])


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


# --- databases, each a copy of one that was migrated once ---


def new_database(kind: str, folder: Path) -> str:
    """Make an empty database of this kind, and return its DATABASE_URL."""
    if kind == "sqlite":
        made = folder / "nightshift.sqlite3"
        shutil.copy(sqlite_template(), made)
        return f"sqlite:///{made}"
    name = f"stack_{uuid4().hex[:12]}"
    execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template()}")
    return postgres_url(name)


@cache
def sqlite_template() -> Path:
    made = settings.DATA_DIR / f"{TEMPLATE}.sqlite3"
    migrate(f"sqlite:///{made}")
    return made


@cache
def postgres_template() -> str:
    execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
    execute(f"CREATE DATABASE {TEMPLATE}")
    migrate(postgres_url(TEMPLATE))
    return TEMPLATE


def migrate(url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, check=True)


def postgres_url(name: str) -> str:
    """The address of another database in the server of the tests."""
    server, _, _ = os.environ["DATABASE_URL"].partition("?")[0].rpartition("/")
    return f"{server}/{name}"


def execute(sql: str) -> None:
    with psycopg.connect(postgres_url("postgres"), autocommit=True) as connection:
        connection.execute(sql)


def connection_to(url: str) -> BaseDatabaseWrapper:
    """A connection that Django can work on, without the pool, which it keeps by alias."""
    described = connections.configure_settings({"default": dj_database_url.parse(url)})["default"]
    if described["ENGINE"].endswith("sqlite3"):
        described["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
    return load_backend(described["ENGINE"]).DatabaseWrapper(described, "default")
