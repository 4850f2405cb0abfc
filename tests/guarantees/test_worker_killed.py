"""A job survives the death of its worker, whenever and however that dies."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from config.processes import GRACE
from jobs.models import Job, State
from tests.client import Client
from tests.linux import mentioning
from tests.media import clip, longer
from tests.stack import Stack
from tests.trial.models import Entry
from tests.trial.tasks import endless, kill_worker, long, record
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LEASE = 3


@pytest.fixture(params=["postgres", "sqlite"] if os.environ.get("CHAOS") == "long" else [None])
def site(request, make_stack):
    return make_stack(
        database=request.param, only=["web", "worker-media", "clock", "valkey"], JOB_LEASE_SECONDS=str(LEASE)
    )


@pytest.fixture(scope="module")
def engine(make_module_stack) -> Stack:
    """No web server: what is tried needs none."""
    return make_module_stack(only=["worker-media", "worker-quick", "clock", "valkey"], JOB_LEASE_SECONDS=str(LEASE))


@pytest.fixture
def workers(engine):
    with engine.cleared():
        yield engine


def state_of(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def test_a_transcode_whose_worker_is_killed_is_finished_by_another(site, tmp_path):
    client = Client(site)
    video = longer(clip(tmp_path, seconds=5, rate=10), 2)
    location = client.upload(video).headers["location"]
    wait_until(lambda: (client.job(location)["progress"] or 0) > 0.2, every=0.02)
    assert mentioning(f"{site.folder}/work"), "no ffmpeg at work"
    killed_at = datetime.now(UTC)
    site.kill("worker-media")
    wait_until(lambda: not mentioning(f"{site.folder}/work"))
    job = client.finished(location)

    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    made = client.get(job["links"]["video"]).json()
    assert [one["name"] for one in made["renditions"]] == ["480p", "720p", "1080p"]
    files = [path for path in (site.folder / "media").rglob("*.mp4") if made["id"] in str(path)]
    assert len(files) == 5, "the attempt that was killed left files"
    lost = datetime.fromisoformat(job["started_at"]) - killed_at
    assert lost < timedelta(seconds=LEASE + 10), "the second attempt began too late"
    with site.inside():
        assert Job.objects.get(pk=job["id"]).errors[0]["error"] == "worker_lost"


def test_a_job_that_kills_its_worker_ends_up_dead_and_the_others_go_on(workers):
    killer = kill_worker.enqueue()
    others = [record.enqueue(number=number) for number in range(20)]
    wait_until(lambda: state_of(killer) == State.DEAD, timeout=60)
    assert (killer.attempt, killer.error["type"]) == (3, "worker_lost")
    assert [one["error"] for one in killer.errors] == ["worker_lost"] * 3
    wait_until(lambda: {state_of(job) for job in others} == {State.SUCCEEDED})
    assert Entry.objects.count() == 20


def test_a_frozen_worker_that_wakes_up_after_its_lease_writes_nothing(make_stack):
    workers = make_stack(only=["worker-media", "clock", "valkey"], JOB_LEASE_SECONDS=str(LEASE), MEDIA_WORKERS="2")
    with workers.inside():
        job = long.enqueue(number=1, seconds=4)
        wait_until(lambda: state_of(job) == State.RUNNING and job.note)
        frozen, child = int(job.worker.rpartition(":")[2]), int(job.note.split()[1])
        os.kill(frozen, signal.SIGSTOP)
        wait_until(lambda: state_of(job) == State.SUCCEEDED, timeout=30)
        assert (job.attempt, job.worker.endswith(str(frozen))) == (2, False)
        before = job.version
        os.kill(frozen, signal.SIGCONT)
        wait_until(lambda: "Lost the lease" in workers.tail())
        wait_until(lambda: not os.path.exists(f"/proc/{child}"))
        assert state_of(job) == State.SUCCEEDED
        assert job.version == before
        assert list(Entry.objects.values_list("attempt", flat=True)) == [2]


def test_a_stopped_worker_hands_its_jobs_back_at_once_and_unspent(workers):
    job = long.enqueue(number=1, seconds=60)
    wait_until(lambda: state_of(job) == State.RUNNING and job.note)
    child = int(job.note.split()[1])
    workers.processes["worker-media"].ask_to_end()
    wait_until(lambda: state_of(job) == State.QUEUED, timeout=LEASE)
    assert (job.attempt, job.errors) == (0, [])
    workers.processes["worker-media"].wait(time.monotonic() + GRACE)
    assert not os.path.exists(f"/proc/{child}")
    workers.start_again("worker-media")
    wait_until(lambda: state_of(job) == State.RUNNING)
    assert job.attempt == 1


def test_cancelling_ends_a_running_job_and_its_child_within_3_seconds(workers):
    job = long.enqueue(number=1, seconds=60)
    stubborn = record.enqueue(number=2, seconds=60)
    wait_until(lambda: state_of(job) == State.RUNNING and job.note)
    wait_until(lambda: state_of(stubborn) == State.RUNNING)
    child = int(job.note.split()[1])
    said = workers.tail().count("Lost the lease")
    began = time.monotonic()
    Job.objects.filter(pk__in=[job.pk, stubborn.pk]).cancel()
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), timeout=3)
    wait_until(lambda: workers.tail().count("Lost the lease") == said + 2, timeout=3)
    assert time.monotonic() - began < 3
    assert {state_of(job), state_of(stubborn)} == {State.CANCELLED}


def test_a_time_limit_stops_a_body_that_never_looks_up(workers):
    job = endless.enqueue()
    wait_until(lambda: state_of(job) == State.DEAD, timeout=10)
    assert job.error["type"] == "time_limit"
    assert job.finished_at - job.started_at < timedelta(seconds=3)
