"""What its owner is told of a job that has not finished: on their pages, by the API, over the socket."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from jobs.models import Job, State
from jobs.queues import pause, resume
from tests.browser import log_in, screenshots
from tests.client import PASSWORD, Client, Visitor
from tests.contract import checked_client
from tests.media import clip
from tests.stack import Stack
from videos.models import Video
from videos.tasks import transcode_video

ASKED_AGAIN = 10_000  # milliseconds between two questions of a page


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    """Without workers: what they would do to a job, the tests do."""
    return make_module_stack(only=["web", "valkey"])


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client
        with site.inside():
            resume("media")
            Job.objects.all().delete()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips"), seconds=1, size="320x240")


@pytest.fixture
def line(site: Stack, client: Client, small: Path) -> list[Job]:
    """Three videos of this person, of which the first is being converted: as those before it, in one to two minutes."""
    with site.inside():
        took(small.stat().st_size, [60] * 10 + [120] * 10)
    for title in ("Sunrise", "Harbour", "Rooftops"):
        assert client.upload(small, title=title).status_code == 202
    with site.inside():
        jobs = [video.job for video in Video.objects.filter(owner=client.user).order_by("created_at")]
        Job.objects.filter(pk=jobs[0].pk).start("a worker")
        publish()
    return jobs


def publish() -> None:
    """As the clock does."""
    Job.objects.waiting().update(published_at=timezone.now())


def took(size: int, seconds: list[float]) -> None:
    now = timezone.now()
    jobs = [transcode_video.job(video_id="", size=size) for _ in seconds]
    for job, one in zip(jobs, seconds, strict=True):
        job.state, job.started_at, job.finished_at = State.SUCCEEDED, now - timedelta(seconds=one), now
    Job.objects.bulk_create(jobs)


def test_a_job_says_its_place_and_its_time_and_that_its_queue_is_paused(site, client, line):
    running, following, last = (client.job(f"/api/jobs/{job.pk}")["outlook"] for job in line)
    assert running["waiting_for"] is None
    assert 50 <= running["remaining"]["low"] < 60 and 110 <= running["remaining"]["high"] <= 120
    assert following["queue_position"] == 1
    assert 50 <= following["starts_in"]["low"] < 60 and 110 <= following["starts_in"]["high"] <= 120
    assert (last["queue_position"], last["waiting_for"]) == (2, "worker")
    assert last["words"] == "About 2nd in line · starts in about 2–4 min"  # noqa: RUF001
    assert {job["id"]: job["outlook"]["words"] for job in client.get("/api/jobs").json()}[str(line[2].pk)] == last[
        "words"
    ]

    with site.inside():
        pause("media")
    paused = client.job(f"/api/jobs/{line[2].pk}")["outlook"]
    assert (paused["waiting_for"], paused["queue_position"], paused["starts_in"]) == ("queue_paused", None, None)

    assert client.post(f"/api/jobs/{line[2].pk}/cancel").json()["outlook"] is None


def test_the_stream_and_the_socket_say_it_too(site, client, line):
    with site.http.stream("GET", f"/api/jobs/{line[1].pk}/events", headers=client.headers) as answer:
        event = next(text for text in answer.iter_lines() if text.startswith("data: "))
    assert json.loads(event.removeprefix("data: "))["outlook"]["words"].startswith("Next in line · starts in")

    headers = {"Authorization": f"Bearer {client.token}"}
    with connect(f"ws://127.0.0.1:{site.port}/ws/jobs/", additional_headers=headers, proxy=None) as socket:
        snapshot = {job["id"]: job["outlook"] for job in json.loads(socket.recv(timeout=10))["jobs"]}
    assert snapshot[str(line[1].pk)]["words"].startswith("Next in line · starts in")


def ask_again(page: Page) -> None:
    """Have a page ask now, as it does by itself after a while, for what is not pushed."""
    with page.expect_response("**/api/jobs"):
        page.clock.fast_forward(ASKED_AGAIN)


@pytest.mark.browser
def test_the_cards_say_it_and_follow(site, client, line, page: Page):
    Visitor(site, client).close()  # gives the person a password
    page.clock.install()
    log_in(page, site.url, client.user.email, PASSWORD)
    running, following, last = (page.locator(f"[data-job='{job.pk}'] [data-part=outlook]") for job in line)
    expect(running).to_have_text("About 1–2 min left")  # noqa: RUF001
    expect(following).to_have_text("Next in line · starts in about 1–2 min")  # noqa: RUF001
    expect(last).to_have_text("About 2nd in line · starts in about 2–4 min")  # noqa: RUF001
    with site.inside():
        Job.objects.filter(pk=line[0].pk).update(started_at=timezone.now() - timedelta(seconds=30))
        Job.objects.filter(pk=line[0].pk).change(progress=0.25, note="3 of 12 s")
    ask_again(page)
    expect(running).to_have_text("About 1–2 min left")  # noqa: RUF001
    screenshots(page, "outlook")

    with site.inside():
        pause("media")
    ask_again(page)
    expect(last).to_have_text("The queue is paused. This goes on by itself when it is opened again.")
    screenshots(page, "outlook-paused")
    with site.inside():
        resume("media")
        Job.objects.filter(pk=line[1].pk).cancel()
        publish()
    ask_again(page)
    expect(last).to_contain_text("Next in line · starts in about")

    page.get_by_role("link", name="Sunrise").click()
    expect(page.locator("[data-part=outlook]")).to_contain_text("left")
    screenshots(page, "outlook-video")
