"""Following a job by plain HTTP: ETag and 304, `?wait=`, and the stream of events.

The site has no workers: the tests move the jobs, and so behind the back of its Valkey. What is heard here is heard by
asking the database; `tests/guarantees/test_result_reaches_owner.py` has the pushes.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from jobs.models import Job
from tests.client import Client, Visitor, new_email
from tests.contract import check, refused
from tests.stack import Stack
from tests.trial.tasks import nothing
from tests.waiting import wait_until

AT_ONCE = 0.9  # seconds: sooner than the watcher looks again


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web", "valkey"], API_MAX_WAITING="20")


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client
        check(client.answers, site.http.get("/api/openapi.json").json())


@pytest.fixture
def job(site: Stack, client: Client) -> Job:
    with site.inside():
        return nothing.enqueue(number=1, owner=client.user)


@pytest.fixture
def url(job: Job) -> str:
    return f"/api/jobs/{job.pk}"


@pytest.fixture
def later(site: Stack) -> Iterator[Callable[..., None]]:
    """Move a job after so many seconds, while the test waits for an answer."""
    timers: list[threading.Timer] = []

    def start(seconds: float, move: Callable[[], Any]) -> None:
        timers.append(threading.Timer(seconds, move))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


def move(site: Stack, job: Job, verb: str) -> Any:
    with site.inside():
        mine = Job.objects.filter(pk=job.pk)
        [moved] = mine.start("worker-1:7") if verb == "start" else getattr(mine, verb)()
    return moved


def timed(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return ask(), time.monotonic() - began


# --- asking ---


def test_what_a_client_has_already_is_not_sent_again(site, client, job, url):
    etag = client.get(url).headers["etag"]
    for sent in (etag, etag.removeprefix("W/"), f'"99", {etag}', "*"):
        answer = client.get(url, headers={"If-None-Match": sent})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)

    move(site, job, "start")

    answer = client.get(url, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.json()["state"]) == (200, "running")
    assert answer.headers["etag"] == f'W/"{answer.json()["version"]}"' != etag


def test_the_older_a_job_the_later_it_is_to_be_asked_for(site, client, job, url):
    def asked_after(**age: int) -> int:
        with site.inside():
            moment = job.created_at - timedelta(**age)
            Job.objects.filter(pk=job.pk).update(created_at=moment, run_at=moment)
        return int(client.get(url).headers["retry-after"])

    assert asked_after(seconds=0) == 1
    assert asked_after(minutes=1) in (6, 7)
    assert asked_after(hours=5) == 30


# --- waiting ---


@pytest.mark.parametrize("wait", ["-1", "61", "x", "1e9", ""])
def test_a_wait_that_is_none_is_refused(client, url, wait):
    assert "wait" in refused(client.get(url, params={"wait": wait}), 422)


def test_who_waits_without_an_etag_is_answered_when_the_job_has_finished(site, client, job, url, later):
    later(0.3, lambda: move(site, job, "start"))
    later(0.6, lambda: move(site, job, "cancel"))
    answer, took = timed(lambda: client.get(url, params={"wait": 20}))
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert took < 0.6 + 2
    same = client.get(url)
    assert (answer.json(), answer.headers["etag"]) == (same.json(), same.headers["etag"])
    again, took = timed(lambda: client.get(url, params={"wait": 20}))
    assert took < AT_ONCE and again.json() == same.json()


def test_who_waits_with_an_etag_is_answered_when_the_version_is_another(site, client, job, url, later):
    etag = {"If-None-Match": client.get(url).headers["etag"]}
    later(0.3, lambda: move(site, job, "start"))
    answer, took = timed(lambda: client.get(url, params={"wait": 20}, headers=etag))
    assert (answer.json()["state"], took < 0.3 + 2) == ("running", True)
    _, took = timed(lambda: client.get(url, params={"wait": 20}, headers=etag))
    assert took < AT_ONCE, "it has moved on already"


def test_when_the_time_is_up_the_answer_is_what_it_would_be_without_waiting(client, url):
    answer, took = timed(lambda: client.get(url, params={"wait": 1}))
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    assert took >= 1
    assert answer.headers["retry-after"]
    etag = {"If-None-Match": answer.headers["etag"]}
    answer = client.get(url, params={"wait": 1}, headers=etag)
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("path", ["?wait=20", "/events"])
def test_only_the_owner_may_follow_a_job(site, client, url, path):
    with Client(site, new_email()) as stranger:
        refused(stranger.get(url + path), 404)
    refused(client.get(f"/api/jobs/00000000-0000-4000-8000-000000000000{path}"), 404)
    for headers in ({}, {"Authorization": "Bearer nightshift_guessed"}, {"Cookie": "sessionid=guessed"}):
        answer = site.http.get(url + path, headers=headers)
        assert "Authorization: Bearer" in refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    refused(client.post(f"{url}/events"), 405)


def test_a_browser_follows_by_its_session(site, client, url):
    visitor = Visitor(site, client)
    assert visitor.get(url, params={"wait": 1}).json()["state"] == "queued"
    visitor.close()


# --- the stream ---


class Stream:
    """The events of a job, as a plain HTTP client reads them."""

    def __init__(self, client: Client, url: str, **headers: str) -> None:
        self.answer = client.send(client.build_request("GET", f"{url}/events", headers=headers), stream=True)
        self.lines = self.answer.iter_lines()

    def block(self) -> dict[str, str]:
        """The fields of the next event."""
        fields = {}
        for line in self.lines:
            if not line:
                return fields
            name, _, value = line.partition(": ")
            fields[name] = value
        return fields

    def job(self) -> dict[str, Any]:
        fields = self.block()
        assert fields.keys() == {"id", "event", "data"} and fields["event"] == "job"
        job = json.loads(fields["data"])
        assert fields["id"] == str(job["version"])
        return job


def test_the_stream_tells_of_each_change_and_ends_with_the_job(site, client, job, url):
    stream = Stream(client, url)
    assert stream.answer.headers["content-type"] == "text/event-stream"
    assert stream.block() == {"retry": "2000"}
    assert stream.job() == client.job(url)
    for verb, state in (("start", "running"), ("cancel", "cancelled")):
        move(site, job, verb)
        assert stream.job()["state"] == state
    assert stream.block() == {}
    client.answers.remove(stream.answer)


def test_a_stream_goes_on_after_the_last_event(site, client, job, url):
    move(site, job, "start")
    stream = Stream(client, url, **{"Last-Event-ID": "1"})
    stream.block()
    assert (stream.job()["version"], stream.answer.close()) == (2, None)

    move(site, job, "cancel")
    stream = Stream(client, url, **{"Last-Event-ID": "2"})
    stream.block()
    assert stream.job()["state"] == "cancelled"
    done = client.get(f"{url}/events", headers={"Last-Event-ID": "3"})
    assert (done.status_code, done.content) == (204, b"")
    client.answers.clear()


# --- what it costs ---


def test_more_than_may_wait_are_told_to_come_back_and_who_leaves_makes_room(site, client, url):
    streams = [Stream(client, url) for _ in range(20)]
    assert all(stream.block() and stream.job() for stream in streams)
    for path in ("/events", "?wait=5"):
        answer = client.get(url + path)
        assert "Too many" in refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert client.get(url).status_code == 200

    streams.pop().answer.close()

    wait_until(lambda: client.get(url, params={"wait": 1}).status_code == 200)
    for stream in streams:
        stream.answer.close()
    client.answers.clear()


def test_a_stream_ends_when_its_owner_logs_out_somewhere(site, client, url):
    visitor = Visitor(site, client)
    stream = Stream(client, url)
    assert stream.block() and stream.job()
    visitor.get("/login")
    assert visitor.post("/logout", headers=visitor.csrf).status_code == 302
    assert stream.block() == {}
    visitor.close()
    client.answers.clear()
