"""What all tests stand on: real servers, started before Django reads its settings, and ended whatever happens.

On PostgreSQL from a wheel, or the server that DATABASE_URL names. DATABASE_URL=sqlite runs the same tests on SQLite.
"""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from config import parts
from config.processes import ROOT, Processes, procfile
from tests.browser import DESKTOP, SCREENSHOTS, chromium
from tests.postgres import Postgres, postgres
from tests.waiting import wait_until

POSTGRES = pytest.StashKey[Postgres]()


def pytest_configure(config: pytest.Config) -> None:
    if settings.configured:
        raise pytest.UsageError(
            "Unset DJANGO_SETTINGS_MODULE: it makes Django read its settings before its servers are there."
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if config.getoption("numprocesses", None):  # the tests run in processes of their own, with servers of their own
        return
    servers = ExitStack()
    config.add_cleanup(servers.close)
    data_dir = servers.enter_context(tempfile.TemporaryDirectory(prefix="nightshift-", ignore_cleanup_errors=True))
    for name in ("REDIS_URL", "EMAIL_URL", "SITE_URL", "SECRET_KEY", "DEBUG", "STRIPE_API_KEY", "STRIPE_API_BASE"):
        os.environ.pop(name, None)
    os.environ["DATA_DIR"] = data_dir
    os.environ["EXTRA_APPS"] = "tests.trial"
    os.environ["STRANGER_MAILS_PER_HOUR"] = "1000000"  # all the people of all tests come from one address
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    choose_database(config, servers)
    start_valkey(servers)
    wait_until(parts.valkey_socket(Path(data_dir)).exists)
    django.setup()


def start_valkey(servers: ExitStack) -> None:
    log = Path(os.environ["DATA_DIR"], "valkey.log")
    valkey = Processes({"valkey": procfile(ROOT / "Procfile")["valkey"]}, output=servers.enter_context(log.open("w")))
    servers.callback(valkey.stop)
    valkey.start()


def choose_database(config: pytest.Config, servers: ExitStack) -> None:
    if os.environ.get("DATABASE_URL") == "sqlite":
        os.environ["DATABASE_URL"] = f"sqlite:///{os.environ['DATA_DIR']}/nightshift.sqlite3"
    elif "DATABASE_URL" not in os.environ:
        server = servers.enter_context(postgres())
        config.stash[POSTGRES] = server
        os.environ["DATABASE_URL"] = server.url
        servers.callback(os.environ.pop, "DATABASE_URL")


@pytest.fixture(scope="session")
def own_connection() -> Any:
    """The connection of the tests themselves, whichever site they are in later."""
    from django.db import connections

    return connections["default"]


@pytest.fixture
def postgres_server(pytestconfig: pytest.Config, own_connection: Any, django_db_blocker: Any) -> Iterator[Postgres]:
    """The server of the tests, for those that stop it."""
    if POSTGRES not in pytestconfig.stash:
        pytest.skip("needs a PostgreSQL of its own")
    yield pytestconfig.stash[POSTGRES]
    with django_db_blocker.unblock():  # the tests that follow are not to find connections that have died
        own_connection.close()
        own_connection.close_pool()


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """A file, where Django would test on SQLite in memory: only there does it lock as it does in earnest."""
    from django.db import connections

    default = connections.databases["default"]
    if default["ENGINE"].endswith("sqlite3"):
        default["TEST"]["NAME"] = f"{os.environ['DATA_DIR']}/test.sqlite3"


@pytest.fixture(autouse=True)
def heart_at_rest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests that commit nothing. The heart's thread would not see their jobs, and take each for lost."""
    marker = request.node.get_closest_marker("django_db")
    if marker and not marker.kwargs.get("transaction"):
        from jobs.lease import heart

        monkeypatch.setattr(heart, "_beat", lambda: None)


# --- whole sites ---


@pytest.fixture
def make_stack(tmp_path: Path, own_connection: Any, django_db_blocker: Any) -> Iterator[Callable[..., Any]]:
    """Make a running site: `make_stack(database="sqlite", only=["web", "valkey"], JOB_LEASE_SECONDS="2")`.

    database: "postgres" or "sqlite"; that of the other tests if not given.
    only: the names of the Procfile's lines to run, in its order; all of them if not given. "clock:2" is a second clock.
    Everything else is put into the environment of its processes.
    """
    with stacks(tmp_path, django_db_blocker) as make:
        yield make


@pytest.fixture(scope="module")
def make_module_stack(
    tmp_path_factory: pytest.TempPathFactory, own_connection: Any, django_db_blocker: Any
) -> Iterator[Callable[..., Any]]:
    """Make one that all the tests of a file share, each with users of its own."""
    with stacks(tmp_path_factory.mktemp("stacks"), django_db_blocker) as make:
        yield make


@contextmanager
def stacks(folder: Path, django_db_blocker: Any) -> Iterator[Callable[..., Any]]:
    from tests.stack import Stack

    made: list[Stack] = []

    def make(database: str | None = None, only: list[str] | None = None, **env: str) -> Stack:
        ours = "sqlite" if os.environ["DATABASE_URL"].startswith("sqlite") else "postgres"
        if database == "postgres" != ours:
            pytest.skip("needs PostgreSQL")
        home = folder / f"site{len(made)}"
        home.mkdir()
        made.append(Stack(home, database=database or ours, only=only, env=env))
        made[-1].start()
        return made[-1]

    with django_db_blocker.unblock():
        yield make
    for stack in made:
        stack.close()


@pytest.fixture(scope="module")
def mail_server() -> Iterator[Any]:
    """A mail server to watch: `make_stack(EMAIL_URL=mail_server.url)`."""
    from tests.smtp import MailServer

    server = MailServer()
    server.start()
    yield server
    server.stop()


# --- browsers ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, chromium() as browser:
        # Playwright keeps an event loop in this thread, for which Django would refuse to use the database here.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page. The test fails when a script on it does, or when it breaks the Content-Security-Policy."""
    context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrongs: list[str] = []
    page.on("pageerror", lambda error: wrongs.append(str(error)))
    page.on("console", lambda said: wrongs.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert not wrongs


# --- what a failed test leaves to look at ---


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    from tests.stack import Stack

    report = yield
    if report.failed:
        for stack in Stack.running:
            report.sections.append((f"the end of {stack.log}", stack.tail()))
        page = item.funcargs.get("page")
        if page and not page.is_closed():
            shot = SCREENSHOTS / f"failed-{item.name}.png"
            page.screenshot(path=shot, full_page=True)
            report.sections.append(("what the page looked like", str(shot)))
    return report
