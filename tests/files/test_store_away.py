"""An object store that is down, or hangs: who waits is told so, jobs wait for it, and nothing is lost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import httpx
import pytest

from jobs.models import Job, State
from tests.client import Client, Visitor
from tests.contract import checked_client, refused
from tests.media import clip
from tests.objectstore import ObjectStore, object_store
from tests.stack import Stack
from tests.waiting import wait_until

AWAY = "Our files cannot be reached at the moment."
LATER = f"{AWAY} Try again in a minute."
PATIENCE = 25  # seconds that somebody may have to wait for that


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(scope="module")
def site(make_module_stack, store: ObjectStore) -> Stack:
    return make_module_stack(only=["web", "worker-media", "clock", "valkey"], **store.env)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("films"), seconds=1, size="320x240")


@pytest.fixture(scope="module")
def owner(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


@pytest.fixture(scope="module")
def video(owner: Client, film: Path) -> dict[str, str]:
    job = owner.finished(owner.upload(film).headers["Location"], timeout=120)
    return owner.get(job["links"]["video"]).json()


@pytest.fixture(autouse=True)
def store_is_back(store: ObjectStore) -> Iterator[None]:
    yield
    if not store.server.pid:
        store.start()


def waits(answer: httpx.Response) -> bool:
    return refused(answer, 503) == LATER and answer.headers["retry-after"] == "30"


def test_who_needs_it_is_told_to_wait_and_all_goes_on_when_it_is_back(site, store, owner, video, film):
    site.stop("worker-media")
    job = owner.upload(film).json()["links"]["self"]
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    length = {"Tus-Resumable": "1.0.0", "Upload-Length": str(film.stat().st_size)}
    arriving = owner.post("/api/uploads", headers=length).headers["location"]
    sending = owner.post("/api/uploads/multipart", json={"filename": "a.mp4", "size": 5}).json()
    visitor = Visitor(site, owner)
    store.stop()
    site.start_again("worker-media")

    assert waits(owner.upload(film))
    assert waits(owner.post("/api/uploads/multipart", json={"filename": "a.mp4", "size": 5}))
    assert waits(owner.get(f"/api/uploads/multipart/{sending['id']}"))
    assert waits(owner.patch(arriving, content=film.read_bytes(), headers=tus))
    with film.open("rb") as file:
        page = visitor.post("/videos/", files={"file": file}, headers=visitor.csrf)
    assert (page.status_code, page.headers["retry-after"]) == (503, "30")
    assert "What is here is safe. Try again in a minute." in page.text
    assert "Traceback" not in page.text and "boto" not in page.text
    assert visitor.get("/videos/").status_code == 200
    assert owner.get(video["playlist_url"]).status_code == 503
    assert owner.get(video["mp4_url"]).status_code == 302

    retried = wait_until(lambda: (now := owner.job(job))["state"] == "retrying" and now)
    assert retried["error"]["message"] == AWAY and retried["attempt"] == 0, "no attempt is spent"

    assert owner.delete(f"/api/videos/{video['id']}").status_code == 204, "what is left there goes within the hour"
    assert owner.get(f"/api/videos/{video['id']}").status_code == 404

    store.start()
    with site.inside():
        Job.objects.filter(state=State.RETRYING).update(run_at="2000-01-01T00:00Z")
    assert owner.finished(job, timeout=120)["state"] == "succeeded"
    assert owner.head(arriving, headers=tus).status_code == 200
    made = [one for one in owner.get("/api/videos").json() if one["job"]["state"] != "succeeded"]
    assert len(made) == 1, "of what had arrived; what was refused made none"
    assert owner.finished(made[0]["job"]["links"]["self"], timeout=120)["state"] == "succeeded"


def test_one_that_hangs_keeps_nobody_for_long_and_others_not_at_all(site, store, owner, film):
    job = owner.finished(owner.upload(film).headers["Location"], timeout=120)
    video = owner.get(job["links"]["video"]).json()
    store.server.kill(SIGSTOP)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(6) as people, Client(site, owner.user.get_username()) as other:
            waiting = [people.submit(httpx.get, f"{site.url}{video['playlist_url']}", timeout=60) for _ in range(5)]
            waiting += [people.submit(owner.delete, f"/api/videos/{video['id']}")]
            while not all(one.done() for one in waiting):
                asked = time.monotonic()
                assert other.get("/api/videos").status_code == 200
                assert time.monotonic() - asked < 2
        assert [one.result().status_code for one in waiting] == [503] * 5 + [204]
        assert time.monotonic() - began < PATIENCE
    finally:
        store.server.kill(SIGCONT)
