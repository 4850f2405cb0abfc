"""A long video is worked on by all workers at once, and a crash repeats one chunk of it. `make chaos`: ten minutes."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings

from jobs.models import Job, State
from tests.client import Client
from tests.linux import mentioning
from tests.media import clip, longer
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LONG = os.environ.get("CHAOS") == "long"
SECONDS, SIZE, RATE, CHUNK = (600, "1920x1080", 30, 30) if LONG else (32, "640x360", 10, 2)
FOR_TWO, CHUNK_FOR_TWO = 120, 10  # seconds: enough to see whether two share, and minutes instead of an hour
PATIENCE = 3600 if LONG else 120  # seconds
WORKERS = ["worker-media", "worker-media:2"]
LINES = ["web", *WORKERS, "clock", "valkey"]


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """At exactly so many frames a second. Sound that is played over and over would leave gaps between the rounds."""
    folder = tmp_path_factory.mktemp("clips")
    return longer(film(folder), SECONDS // 30) if LONG else clip(folder, seconds=SECONDS, size=SIZE, rate=RATE)


def film(folder: Path) -> Path:
    """Half a minute with noise: without, the test card is too easy to encode to be like a film."""
    return clip(folder, seconds=30, size=SIZE, rate=RATE, audio=False, filters="noise=alls=6:allf=t")


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=LINES, JOB_LEASE_SECONDS="3", CHUNK_SECONDS=str(CHUNK))


@pytest.fixture(scope="module")
def client(site: Stack) -> Iterator[Client]:
    with Client(site) as client:
        yield client


def upload(client: Client, video: Path) -> tuple[str, str]:
    """Where its job is, and its id."""
    job = client.upload(video).raise_for_status().json()
    return job["links"]["self"], job["id"]


def parts(job_id: str) -> list[Job]:
    return list(Job.objects.filter(parent=job_id).order_by("created_at"))


def done(job_id: str) -> float:
    """The part of the chunks that have succeeded."""
    found = parts(job_id)
    return sum(one.state == State.SUCCEEDED for one in found) / len(found) if found else 0.0


def test_a_worker_that_joins_takes_its_share_and_a_cancelled_video_leaves_nothing(site, client, video):
    location, job_id = upload(client, video)
    with site.inside():
        wait_until(lambda: len({one.worker for one in running(job_id)}) == 2, timeout=PATIENCE)
        wait_until(lambda: site.files("work/parts"), timeout=PATIENCE)
        Job.objects.filter(pk=job_id).cancel()
        wait_until(lambda: not site.files("work") and not mentioning(f"{site.folder}/work"))
        assert {one.state for one in parts(job_id)} <= {State.SUCCEEDED, State.CANCELLED}
    assert client.job(location)["state"] == "cancelled"


def test_a_worker_killed_at_80_percent_costs_at_most_one_chunk(site, client, video):
    site.stop("worker-media:2")
    location, job_id = upload(client, video)
    with site.inside():
        wait_until(lambda: done(job_id) >= 0.8 and running(job_id), timeout=PATIENCE)
        wait_until(lambda: mentioning(f"{site.folder}/work"), timeout=PATIENCE)
        site.kill("worker-media")
        job = client.finished(location, timeout=PATIENCE)
        assert (job["state"], job["attempt"]) == ("succeeded", 1)
        attempts = [len(one.errors) for one in parts(job_id)]
        print(f"\nKilled at 80 %: {sum(attempts)} of {len(attempts)} parts were begun again")
        assert sum(attempts) <= 1, "more than what the worker was at"
    check_seams(site, client, job)
    wait_until(lambda: not site.files("work"))


@pytest.mark.skipif(not LONG, reason="takes minutes: a video for one core, and again for two")
def test_two_machines_take_half_the_time(make_stack, tmp_path):
    """Each a core and a network of its own: what they share is the database, the broker, and the disk."""
    site = make_stack(database="sqlite", only=LINES, CHUNK_SECONDS=str(CHUNK_FOR_TWO))
    video = longer(film(tmp_path), FOR_TWO // 30)
    walls = []
    for core, name in enumerate(WORKERS):
        site.stop(name)
        site.processes[name].command = f"unshare --net taskset --cpu-list {core} {site.processes[name].command}"
    for name in WORKERS:
        site.start_again(name)
        with Client(site) as client:
            location, _ = upload(client, video)
            job = client.finished(location, timeout=PATIENCE)
        assert job["state"] == "succeeded"
        walls.append(datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["created_at"]))
    print(f"\nOne machine: {walls[0]}, two: {walls[1]}, which is {walls[0] / walls[1]:.2f} times as fast")
    assert walls[0] / walls[1] > 1.7


def check_seams(site: Stack, client: Client, job: dict) -> None:
    made = client.get(job["links"]["video"]).json()
    [published] = [path for path in (site.folder / "media/videos" / made["id"]).iterdir() if path.is_dir()]
    keyframes = []
    for name in [*(f"{one['name']}.mp4" for one in made["renditions"]), "video.mp4"]:
        packets = packets_of(published / name)
        assert len(packets) == SECONDS * RATE, "lost or doubled"
        assert len({packet["pts"] for packet in packets}) == len(packets)
        assert all(earlier["dts"] < later["dts"] for earlier, later in pairwise(packets))
        keyframes.append([float(packet["pts_time"]) for packet in packets if "K" in packet["flags"]])
    assert all(times == keyframes[0] for times in keyframes)


def packets_of(path: Path) -> list[dict]:
    question = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,dts,pts_time,flags", "-of", "json"]
    answer = subprocess.run([settings.FFPROBE, *question, path], check=True, capture_output=True)
    return json.loads(answer.stdout)["packets"]


def running(job_id: str) -> list[Job]:
    return [one for one in parts(job_id) if one.state == State.RUNNING]
