"""Idempotency-Key: a request that was sent again, because its answer was lost, is not done twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.utils import timezone

from jobs import retention
from jobs.models import IdempotencyKey, Job
from tests.client import Client, new_email
from tests.contract import checked_client, refused
from tests.stack import Stack
from videos.models import Video

CLIP = b"the bytes of a clip"


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    """Without workers: what becomes of a video does not matter here."""
    return make_module_stack(only=["web", "valkey"])


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


@pytest.fixture
def key() -> str:
    return str(uuid4())


def send(
    client: Client, key: str, content: bytes = CLIP, title: str = "Harbour", name: str = "a.mp4"
) -> httpx.Response:
    return client.post(
        "/api/videos",
        files={"file": (name, content)},
        data={"title": title},
        headers={"Idempotency-Key": key},
    )


def made(site: Stack, client: Client) -> tuple[int, int, int]:
    """How many videos, jobs and files this person has."""
    with site.inside():
        videos = Video.objects.filter(owner=client.user)
        files = site.files(*(f"media/videos/{video.pk}" for video in videos))
        return len(videos), Job.objects.filter(owner=client.user).count(), len(files)


def test_the_same_request_again_gets_the_same_answer_and_makes_nothing(site, client, key):
    first = send(client, key)
    assert first.status_code == 202
    assert "idempotent-replayed" not in first.headers
    client.post(f"{first.headers['location']}/cancel").raise_for_status()
    files = site.files("media", "uploads")

    for _ in range(3):
        again = send(client, key)
        assert (again.status_code, again.content) == (202, first.content), "as it was, though the job has moved since"
        assert again.headers["idempotent-replayed"] == "true"
        for name in ("location", "retry-after", "content-type"):
            assert again.headers[name] == first.headers[name]

    assert made(site, client) == (1, 1, 1)
    assert site.files("media", "uploads") == files
    [file] = site.files(f"media/videos/{first.json()['links']['video'].rpartition('/')[2]}")
    assert file.read_bytes() == CLIP


def test_a_large_file_is_stored_whole_although_it_was_read_to_recognise_it(site, client, key):
    """Above 2.5 MB an upload is a file on disk, which is moved into its place."""
    large = CLIP * 300_000
    first = send(client, key, content=large)
    assert send(client, key, content=large).content == first.content
    [file] = site.files(f"media/videos/{first.json()['links']['video'].rpartition('/')[2]}")
    assert file.read_bytes() == large


@pytest.mark.parametrize("change", [{"content": CLIP + b"!"}, {"title": "Another"}, {"name": "b.mp4"}])
def test_another_request_under_the_same_key_is_refused(site, client, key, change):
    send(client, key).raise_for_status()
    assert "Use a new key for each request" in refused(send(client, key, **change), 422)
    assert made(site, client) == (1, 1, 1)


def test_without_a_key_or_with_another_the_same_request_is_done_again(site, client):
    for headers in ({}, {}, {"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}):
        client.post("/api/videos", files={"file": ("a.mp4", CLIP)}, headers=headers).raise_for_status()
    assert made(site, client) == (4, 4, 4)


def test_of_many_at_once_one_is_done_and_the_others_get_its_answer_or_are_asked_to_wait(site, client, key):
    files = len(site.files("media", "uploads"))
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: send(client, key), range(24)))

    done = [answer for answer in answers if answer.status_code == 202]
    for answer in answers:
        if answer not in done:
            assert "Send it again in a moment" in refused(answer, 409)
    assert len({answer.content for answer in done}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in done) == 1
    assert made(site, client) == (1, 1, 1)
    assert len(site.files("media", "uploads")) == files + 1
    assert send(client, key).content == done[0].content


def test_of_many_refused_at_once_none_fails(client, key):
    """Each gives the key back, while others look for it."""
    with ThreadPoolExecutor(8) as senders:
        statuses = set(senders.map(lambda _: send(client, key, content=b"").status_code, range(40)))
    assert statuses <= {422, 409} and 422 in statuses


def test_a_key_belongs_to_its_owner(site, client, key):
    first = send(client, key)
    with Client(site, new_email()) as other:
        theirs = send(other, key, title="Theirs")
    assert theirs.status_code == 202
    assert theirs.json()["id"] != first.json()["id"]
    assert "idempotent-replayed" not in theirs.headers


def test_a_refused_request_has_not_used_its_key_up(site, client, key):
    assert "This file is empty" in refused(send(client, key, content=b""), 422)
    assert send(client, key).status_code == 202
    assert made(site, client) == (1, 1, 1)


def test_a_request_that_died_is_taken_over_when_its_claim_has_run_out(site, client, key):
    send(client, key).raise_for_status()
    with site.inside():
        keys = IdempotencyKey.objects.filter(owner=client.user)
        keys.update(status=None, headers={}, body="", claim=uuid4(), claimed_until=soon(60))
    assert "Send it again in a moment" in refused(send(client, key), 409)
    with site.inside():
        keys.update(claimed_until=soon(-1))
    taken_over = send(client, key)
    assert taken_over.status_code == 202
    assert "idempotent-replayed" not in taken_over.headers
    assert send(client, key).content == taken_over.content


def test_of_many_that_take_over_one_is_done(site, client, key):
    send(client, key).raise_for_status()
    with site.inside():
        IdempotencyKey.objects.filter(owner=client.user).update(status=None, claim=uuid4(), claimed_until=soon(-1))
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: send(client, key), range(16)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert made(site, client) == (2, 2, 2), "that of the request that died, which had been done, and one more"


@pytest.mark.parametrize("bad", ["", "k" * 256])
def test_a_key_that_is_none_is_refused(site, client, bad):
    assert "An Idempotency-Key has 1 to 255 characters" in refused(send(client, bad), 400)
    assert made(site, client) == (0, 0, 0)


def test_a_key_may_be_as_long_as_it_may_be(client):
    longest = "k" * 255
    assert send(client, longest).content == send(client, longest).content


def test_keys_are_kept_for_two_days(site, client):
    for key in ("old", "young"):
        send(client, key).raise_for_status()
    with site.inside():
        keys = IdempotencyKey.objects.filter(owner=client.user)
        keys.filter(key="old").update(created_at=soon(-48 * 3600 - 60))
        keys.filter(key="young").update(created_at=soon(-48 * 3600 + 60))
        list(retention.prune())
        assert list(keys.values_list("key", flat=True)) == ["young"]
    assert send(client, "young").headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in send(client, "old").headers


def soon(seconds: float) -> Any:
    return timezone.now() + timedelta(seconds=seconds)
