"""The broker may fail, forget and repeat itself. Only the rows count."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs import broker
from jobs.models import Job, State
from tests.client import Client
from tests.media import clip
from tests.stack import Stack
from tests.trial.models import Entry
from tests.trial.tasks import record
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LINES = ["web", "worker-media", "worker-quick", "clock", "valkey"]


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=LINES, JOB_LEASE_SECONDS="3")


@pytest.fixture
def engine(site) -> Iterator[Stack]:
    with site.cleared():
        yield site


def all_succeeded() -> bool:
    return not Job.objects.exclude(state=State.SUCCEEDED).exists()


def effects() -> list[int]:
    return sorted(Entry.objects.values_list("number", flat=True))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_uploads_are_accepted_within_a_second_while_the_broker_is_away_and_done_when_it_is_back(site, tmp_path, number):
    client = Client(site)
    video = clip(tmp_path, seconds=1, size="320x240")
    client.upload(video)
    if number == signal.SIGKILL:
        site.stop("valkey")
    else:
        site.kill("valkey", number)

    def upload(_: int) -> tuple[int, str, float]:
        began = time.monotonic()
        response = client.upload(video)
        return response.status_code, response.headers.get("location"), time.monotonic() - began

    with ThreadPoolExecutor(3) as people:
        answers = list(people.map(upload, range(6)))
    if number == signal.SIGKILL:
        site.start_again("valkey")
    else:
        site.kill("valkey", signal.SIGCONT)

    assert {status for status, *_ in answers} == {202}
    assert max(seconds for *_, seconds in answers) < 1
    jobs = [client.finished(location) for _, location, _ in answers]
    assert {(job["state"], job["attempt"]) for job in jobs} == {("succeeded", 1)}


def test_jobs_whose_messages_were_wiped_out_under_load_are_done_within_30_seconds(engine):
    for number in range(300):
        record.enqueue(number=number, seconds=0.01)
        if number == 150:
            with broker._connection().channel() as channel:
                channel.client.flushall()
    wait_until(all_succeeded, timeout=30)
    assert effects() == list(range(300))


def test_a_broker_killed_under_load_loses_no_job(engine):
    for number in range(300):
        record.enqueue(number=number, seconds=0.01)
        if number == 150:
            engine.kill("valkey")
    wait_until(all_succeeded, timeout=60)
    assert effects() == list(range(300))


def test_every_message_delivered_three_times_has_one_effect(engine):
    jobs = [record.enqueue(number=number) for number in range(100)]
    for _ in range(2):
        broker.publish(jobs)
    wait_until(all_succeeded)
    wait_until(lambda: broker.waiting_messages("quick") == 0)
    assert effects() == list(range(100))


def test_a_process_that_dies_between_commit_and_publishing_loses_no_job(engine, monkeypatch):
    monkeypatch.setattr(broker, "publish", lambda jobs: None)
    record.enqueue(number=1)
    wait_until(all_succeeded, timeout=30)


def test_the_clock_killed_is_back_and_goes_on(engine):
    jobs = [record.enqueue(number=number, seconds=0.5) for number in range(12)]
    wait_until(lambda: Job.objects.filter(state=State.RUNNING).exists())
    engine.kill("clock")
    engine.kill("worker-quick")
    wait_until(all_succeeded, timeout=60)
    assert effects() == list(range(len(jobs)))
