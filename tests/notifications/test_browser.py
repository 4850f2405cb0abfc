"""The WebSocket `/ws/jobs/`: who may listen, what is heard, and what happens while the broker is away."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from jobs.models import Job, State
from tests.client import PASSWORD, Client, Visitor, new_email
from tests.media import clip
from tests.stack import Stack
from tests.trial.tasks import long
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web", "worker-media", "clock", "valkey"], JOB_LEASE_SECONDS="3")


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture
def stranger(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture
def cookies(site: Stack, client: Client) -> str:
    """Of the browser in which this person is logged in."""
    visitor = Visitor(site, client)
    visitor.close()
    return "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips"), seconds=1, size="320x240")


def listen(site: Stack, origin: str | None = None, **headers: str) -> connect:
    return connect(
        f"ws://127.0.0.1:{site.port}/ws/jobs/", origin=origin, additional_headers=headers, open_timeout=20, proxy=None
    )


@pytest.fixture
def listening(site: Stack) -> Iterator[Callable[[Client], ClientConnection]]:
    """Open sockets for people, by their tokens, that are closed when the test is over."""
    with ExitStack() as sockets:
        yield lambda client: sockets.enter_context(listen(site, Authorization=f"Bearer {client.token}"))


def hear(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=30))


def hear_until(socket: ClientConnection, state: str) -> list[dict[str, Any]]:
    """The jobs that are told of, up to one in this state."""
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["state"] != state:
        message = hear(socket)
        assert message.keys() == {"type", "job"} and message["type"] == "job"
        heard.append(message["job"])
    return heard


# --- what is heard ---


def test_first_comes_a_snapshot_of_the_jobs_as_the_api_shows_them_the_newest_first(client, listening, small):
    for _ in range(2):
        client.finished(client.upload(small).headers["location"])
    assert hear(listening(client)) == {"type": "snapshot", "jobs": client.get("/api/jobs").json()}


def test_then_each_change_with_a_higher_version_from_queued_to_succeeded(client, listening, small):
    socket = listening(client)
    assert hear(socket) == {"type": "snapshot", "jobs": []}

    location = client.upload(small).headers["location"]
    heard = hear_until(socket, "succeeded")

    assert {job["links"]["self"] for job in heard} == {location}
    states = [job["state"] for job in sorted(heard, key=lambda job: job["version"])]
    assert list(dict.fromkeys(states)) == ["queued", "running", "succeeded"]
    versions = [job["version"] for job in heard]
    assert len(set(versions)) == len(versions)
    assert heard[-1] == client.job(location)


def test_how_far_a_job_is_comes_with_how_long_it_may_still_take(site, client, listening):
    socket = listening(client)
    hear(socket)
    with site.inside():
        long.enqueue(number=1, seconds=4, owner=client.user)
    half = [job for job in hear_until(socket, "succeeded") if job["progress"] == 0.5]
    assert half and all(job["outlook"]["words"].endswith("left") for job in half)


def test_all_the_sockets_of_a_person_hear_of_their_jobs_and_nobody_else_does(client, stranger, listening, small):
    mine, mine_too, theirs = listening(client), listening(client), listening(stranger)
    for socket in (mine, mine_too, theirs):
        assert hear(socket)["jobs"] == []

    location = client.upload(small).headers["location"]
    for socket in (mine, mine_too):
        assert {job["links"]["self"] for job in hear_until(socket, "succeeded")} == {location}

    sentinel = stranger.upload(small).headers["location"]  # had they heard of the other, it would have been before
    assert {job["links"]["self"] for job in hear_until(theirs, "succeeded")} == {sentinel}


# --- who may listen ---


def refused(site: Stack, **how: Any) -> bool:
    try:
        with listen(site, **how):
            return False
    except InvalidStatus as refusal:
        return refusal.response.status_code == 403


def test_strangers_are_refused(site):
    for headers in (
        {},
        {"Authorization": "Bearer nightshift_guessed"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic ZGVtbzpkZW1v"},
        {"Cookie": "sessionid=guessed"},
    ):
        assert refused(site, origin=site.url, **headers)
        assert refused(site, **headers)


def test_our_own_pages_may_listen_by_their_session(site, client, cookies):
    with listen(site, origin=site.url, Cookie=cookies) as socket:
        assert hear(socket) == {"type": "snapshot", "jobs": []}


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://127.0.0.1.evil.example", "http://127.0.0.1@evil.example", "null", None],
)
def test_a_foreign_page_may_not_listen_through_the_session_of_a_person(site, cookies, origin):
    assert refused(site, origin=origin, Cookie=cookies)


def test_an_inactive_person_may_not_listen(site, client, cookies):
    with site.inside():
        client.user.is_active = False
        client.user.save()
    assert refused(site, Authorization=f"Bearer {client.token}")
    assert refused(site, origin=site.url, Cookie=cookies)


def closed(socket: ClientConnection) -> bool:
    try:
        hear(socket)
    except ConnectionClosed:
        return True
    return False


def test_a_revoked_token_closes_what_was_opened_with_it(site, client, listening):
    socket = listening(client)
    assert hear(socket)["type"] == "snapshot"
    visitor = Visitor(site, client)
    with site.inside():
        token = client.user.tokens.get()
    answer = visitor.post(f"/account/tokens/{token.pk}/revoke", headers=visitor.csrf)
    assert answer.status_code == 302
    assert closed(socket)
    assert refused(site, Authorization=f"Bearer {client.token}")


def test_another_password_closes_what_was_opened_in_other_browsers(site, client):
    here, elsewhere = Visitor(site, client), Visitor(site, client)
    cookies = "; ".join(f"{name}={value}" for name, value in elsewhere.cookies.items())
    with listen(site, origin=site.url, Cookie=cookies) as socket:
        assert hear(socket)["type"] == "snapshot"
        new = "another password of the tests"
        form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
        assert here.post("/account/password", data=form, headers=here.csrf).status_code == 302
        assert closed(socket)
    assert refused(site, origin=site.url, Cookie=cookies)


# --- while the broker is away ---


def test_after_the_broker_was_killed_a_new_socket_tells_the_truth_and_an_old_one_hears_again(
    site, client, listening, small
):
    old = listening(client)
    assert hear(old)["jobs"] == []

    site.kill("valkey")
    location = client.upload(small).headers["location"]
    client.finished(location)

    new = wait_until(lambda: with_patience(listening, client))
    assert hear(new) == {"type": "snapshot", "jobs": [client.job(location)]}
    later = client.upload(small).headers["location"]
    assert hear_until(new, "succeeded")[-1]["links"]["self"] == later
    wait_until(lambda: hear(old)["job"] == client.job(later))


def with_patience(listening: Callable[[Client], ClientConnection], client: Client) -> ClientConnection | None:
    """A new socket, or None while the server cannot listen to the broker."""
    try:
        return listening(client)
    except (InvalidStatus, InvalidMessage, ConnectionError, TimeoutError):
        return None


def test_a_broker_that_hangs_does_not_slow_a_worker_that_tells_of_its_job(site, client, listening, small):
    socket = listening(client)
    assert hear(socket)["jobs"] == []
    with site.inside():
        job = long.enqueue(number=1, seconds=2, owner=client.user)
        hear_until(socket, "running")
        site.kill("valkey", signal.SIGSTOP)
        try:
            done = wait_until(lambda: Job.objects.filter(pk=job.pk, state=State.SUCCEEDED).first())
        finally:
            site.kill("valkey", signal.SIGCONT)
        assert (done.finished_at - done.started_at).total_seconds() < 3.5
        assert done.version > 3, "its progress was written, and would have been told"

    location = client.upload(small).headers["location"]
    client.finished(location)
    assert hear(wait_until(lambda: with_patience(listening, client)))["jobs"][0] == client.job(location)
