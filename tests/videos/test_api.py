"""Videos over HTTP, as a program meets them on a running site."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from tests.client import Client, Visitor, new_email
from tests.contract import checked_client, refused
from tests.media import clip, longer, sound, truncated
from tests.stack import Stack
from tests.waiting import wait_until

LIMIT = 10_000_000  # bytes of an upload
A_JOB = {
    *("id", "task", "state", "version", "progress", "note", "attempt", "max_attempts"),
    *("created_at", "started_at", "finished_at", "result", "error", "links"),
}


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(
        only=["web", "worker-media", "clock", "valkey"], JOB_LEASE_SECONDS="3", MAX_UPLOAD_BYTES=str(LIMIT)
    )


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


@pytest.fixture
def stranger(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture
def visitor(site: Stack, client: Client) -> Iterator[Visitor]:
    """The same person with a browser."""
    visitor = Visitor(site, client)
    yield visitor
    visitor.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def small(clips: Path) -> Path:
    return clip(clips, seconds=1, size="320x240")


def made(client: Client, location: str) -> dict[str, Any]:
    """The video, once its job has succeeded."""
    job = client.finished(location)
    assert job["state"] == "succeeded"
    return client.get(job["links"]["video"]).raise_for_status().json()


def stored(site: Stack, job: dict[str, Any] | None = None) -> set[Path]:
    """The files that the site keeps of its users, or of the video of this job and of the job itself."""
    files = site.files("media", "uploads", "work")
    if job is None:
        return files
    ids = {job["id"], job["links"]["video"].rpartition("/")[2]}
    return {path for path in files if ids & set(path.parts)}


# --- from the upload to the video ---


def test_an_upload_is_answered_with_a_job_that_ends_in_a_video_in_three_sizes(site, client, clips, tmp_path):
    answer = client.upload(clip(clips), title="Harbour at four")

    assert answer.status_code == 202
    assert float(answer.headers["retry-after"]) > 0
    job = answer.json()
    assert answer.headers["location"] == f"/api/jobs/{job['id']}" == job["links"]["self"]
    assert job.keys() >= A_JOB
    assert (job["task"], job["state"], job["attempt"]) == ("videos.transcode_video", "queued", 0)

    seen = [job]

    def finished() -> bool:
        asked = client.get(answer.headers["location"])
        seen.append(asked.json())
        assert ("retry-after" in asked.headers) == (seen[-1]["finished_at"] is None)
        return seen[-1]["finished_at"] is not None

    wait_until(finished, timeout=60)
    job = seen[-1]
    assert (job["state"], job["progress"], job["attempt"], job["error"]) == ("succeeded", 1, 1, None)
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    versions = [one["version"] for one in seen]
    assert versions == sorted(versions)
    assert job["result"] == {"video": job["links"]["video"].rpartition("/")[2], "remark": ""}

    video = client.get(job["links"]["video"]).json()
    addresses = {"playlist_url", "mp4_url", "poster_url", "storyboard_url"}
    assert video.keys() >= {"id", "title", "duration", "job", "renditions", *addresses}
    assert (video["title"], video["job"]["id"]) == ("Harbour at four", job["id"])
    assert video["duration"] == pytest.approx(2, rel=0.02)
    sizes = [(one["name"], one["width"], one["height"]) for one in video["renditions"]]
    assert sizes == [("480p", 854, 480), ("720p", 1280, 720), ("1080p", 1920, 1080)]
    master = download(site, video["playlist_url"], tmp_path).read_text().splitlines()
    for rendition in video["renditions"]:
        assert Path(rendition["url"]).name in master
        beside = rendition["url"].replace(".m3u8", ".mp4")
        (picture,) = probed(download(site, beside, tmp_path))["streams"]
        assert (picture["width"], picture["height"]) == (rendition["width"], rendition["height"])
    found = probed(download(site, video["mp4_url"], tmp_path))
    assert sorted(stream["codec_name"] for stream in found["streams"]) == ["aac", "h264"]
    assert float(found["format"]["duration"]) == pytest.approx(2, rel=0.02)
    assert "#xywh=" in download(site, video["storyboard_url"], tmp_path).read_text()
    poster = probed(download(site, video["poster_url"], tmp_path))["streams"][0]
    assert (poster["codec_name"], poster["width"], poster["height"]) == ("mjpeg", 1920, 1080)


def download(site: Stack, url: str, folder: Path) -> Path:
    """As a player does it: with neither a token nor a cookie, the second half first."""
    whole = httpx.get(site.url + url)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    middle, size = len(whole.content) // 2, len(whole.content)
    second = httpx.get(site.url + url, headers={"Range": f"bytes={middle}-"})
    first = httpx.get(site.url + url, headers={"Range": f"bytes=0-{middle - 1}"})
    assert (second.status_code, second.headers["content-range"]) == (206, f"bytes {middle}-{size - 1}/{size}")
    assert first.content + second.content == whole.content
    kept = folder / url.rpartition("/")[2]
    kept.write_bytes(whole.content)
    return kept


def probed(path: Path) -> dict[str, Any]:
    command = [settings.FFPROBE, "-v", "error", "-of", "json", "-show_streams", "-show_format", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def bad_files(folder: Path) -> dict[str, Path]:
    rubbish = folder / "rubbish.mp4"
    rubbish.write_bytes(b"<html>Not found</html>" * 100)
    return {
        "is not a video we can read": rubbish,
        "has no video in it": sound(folder),
        "is incomplete: it ends after": truncated(clip(folder, seconds=3, size="320x240")),
    }


@pytest.mark.parametrize(
    "sentence", ["is not a video we can read", "has no video in it", "is incomplete: it ends after"]
)
def test_a_file_that_cannot_be_played_is_dead_at_once_with_a_reason_and_is_not_kept(site, client, clips, sentence):
    job = client.finished(client.upload(bad_files(clips)[sentence]).headers["location"])

    assert (job["state"], job["attempt"], job["result"]) == ("dead", 1, None)
    assert job["error"]["type"] == "NotPlayable"
    assert sentence in job["error"]["message"] and "pload" in job["error"]["message"], "what is wrong, and what to do"
    video = client.get(job["links"]["video"]).json()
    assert (video["renditions"], video["poster_url"], video["duration"]) == ([], None, None)
    wait_until(lambda: not stored(site, job))

    again = client.post(f"{job['links']['self']}/requeue")
    assert again.status_code == 202
    job = client.finished(again.headers["location"])
    assert (job["state"], job["attempt"]) == ("dead", 1)
    assert "has been removed. Upload it again" in job["error"]["message"]


# --- what is refused at once ---


def test_an_empty_file_and_none_at_all_are_refused(site, client):
    before = stored(site)
    empty = client.post("/api/videos", files={"file": ("clip.mp4", b"")})
    assert "This file is empty" in refused(empty, 422)
    for nameless in ({}, {"file": ("..", b"x")}):
        refusal = refused(client.post("/api/videos", files=nameless, data={"title": "No file"}), 422)
        assert "file: Field required" in refusal
    assert client.get("/api/videos").json() == client.get("/api/jobs").json() == []
    assert stored(site) == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name="),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a" * 5000),
        ("application/json", b'{"file": 1}'),
    ],
)
def test_a_body_that_is_no_form_is_refused(client, kind, body):
    answer = client.post("/api/videos", content=body, headers={"Content-Type": kind})
    refused(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_a_title_as_long_as_a_book_is_refused(client, small):
    refused(client.upload(small, title="x" * 3_000_000), 413)


def test_a_file_over_the_limit_is_refused_and_not_stored(site, client):
    before = stored(site)
    for size in (LIMIT + 1, LIMIT + 1_000_000):
        answer = client.post("/api/videos", files={"file": ("clip.mp4", b"x" * size)})
        assert "too large. Videos may have up to 9.5" in refused(answer, 413)
    assert client.get("/api/videos").json() == []
    assert stored(site) == before


def test_a_body_over_the_limit_is_refused_although_it_did_not_say_its_length(site, client):
    before = stored(site)

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="clip.mp4"\r\n\r\n'
        for _ in range(LIMIT // 100_000 + 2):
            yield b"x" * 100_000
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/api/videos", content=chunks(), headers=headers)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert "too large" in refused(answer, 413)
    assert client.get("/api/videos").json() == []
    assert stored(site) == before


# --- whose it is ---


def test_what_belongs_to_others_is_not_there(site, client, stranger, small):
    location = client.upload(small).headers["location"]
    video = made(client, location)
    url = f"/api/videos/{video['id']}"
    for method, path in [
        ("GET", url),
        ("DELETE", url),
        ("GET", location),
        ("POST", f"{location}/cancel"),
        ("POST", f"{location}/requeue"),
    ]:
        refused(stranger.request(method, path), 404)
    for address in (video["poster_url"], video["playlist_url"], video["mp4_url"]):
        assert stranger.get(address).status_code == 404
        assert client.get(address).status_code == 200
    assert stranger.get("/api/videos").json() == stranger.get("/api/jobs").json() == []
    assert [one["id"] for one in client.get("/api/videos").json()] == [video["id"]]


def test_a_session_can_do_what_a_token_can_but_must_show_that_the_page_was_ours(visitor, client, small):
    assert visitor.get("/api/videos").json() == []
    file = {"file": ("clip.mp4", small.read_bytes())}
    assert "CSRF" in refused(visitor.post("/api/videos", files=file), 403)
    assert "CSRF" in refused(visitor.post("/api/videos", files=file, headers={"X-CSRFToken": "x" * 32}), 403)
    accepted = visitor.post("/api/videos", files=file, headers=visitor.csrf)
    assert accepted.status_code == 202
    made(client, accepted.headers["location"])


# --- names meant to do harm ---


@pytest.mark.parametrize(
    ("file_name", "title", "shown"),
    [
        ("../../../../etc/cron.d/evil", "", "evil"),
        ("..\\..\\windows\\evil.mp4", "", "evil"),
        ("/etc/passwd", "", "passwd"),
        ("_.mp4", "", "Untitled"),
        ("<img src=x onerror=alert(1)>.mp4", "", "<img src=x onerror=alert(1)>"),
        ("clip.mp4", "<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("clip.mp4", "'; DROP TABLE jobs_job; --", "'; DROP TABLE jobs_job; --"),
        ("a" * 300 + ".mp4", "", re.compile("a{190,200}")),
        ("clip.mp4", "t" * 5000, "t" * 200),
        ("Größe_北京_🎬.mov", "", "Größe 北京 🎬"),
        ("clip.mp4", "👨‍👩‍👧 familia", "👨‍👩‍👧 familia"),
        ("a\0b\x1b[2J.mp4", "", "ab[2J"),
        ("clip.mp4", "two\0words\r\nand lines", "two words and lines"),
        ("clip.mp4", "\0 \t", "clip"),
    ],
)
def test_hostile_names_do_no_harm(site, client, small, file_name, title, shown):
    before = stored(site)

    answer = client.post("/api/videos", **form(file_name, title, small.read_bytes()))

    assert answer.status_code == 202
    job = answer.json()
    video = client.get(job["links"]["video"]).json()
    assert shown.fullmatch(video["title"]) if isinstance(shown, re.Pattern) else video["title"] == shown
    assert {path.name for path in stored(site, job)} >= {"original"}
    assert client.delete(job["links"]["video"]).status_code == 204
    wait_until(lambda: stored(site) <= before)


def form(file_name: str, title: str, content: bytes) -> dict[str, Any]:
    """A form as only a program written to do harm sends it: others replace such characters."""
    parts = [
        f'Content-Disposition: form-data; name="title"\r\n\r\n{title}'.encode(),
        f'Content-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'.encode() + content,
    ]
    body = b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


def test_hostile_titles_do_no_harm_on_the_page(visitor, client, small):
    client.finished(client.upload(small, title="<script>alert(1)</script>").headers["location"])
    page = visitor.get("/videos/").text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


# --- deleting ---


def test_a_deleted_video_is_gone_with_its_files(site, client, small):
    video = made(client, client.upload(small).headers["location"])
    url = f"/api/videos/{video['id']}"
    names = {path.name for path in stored(site, video["job"])}
    assert {"original", "master.m3u8", "240p.m3u8", "240p.mp4", "video.mp4", "poster.jpg"} <= names

    deleted = client.delete(url)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert not stored(site, video["job"])
    refused(client.get(url), 404)
    refused(client.delete(url), 404)
    assert client.get(video["renditions"][0]["url"]).status_code == 404
    assert client.get("/api/videos").json() == []


def test_a_video_deleted_while_it_is_transcoded_leaves_nothing(site, client, clips):
    location = client.upload(longer(clip(clips), 5)).headers["location"]
    job = wait_until(lambda: (job := client.job(location))["progress"] and job)
    assert len(stored(site, job)) > 1, "what ffmpeg is writing"

    assert client.delete(job["links"]["video"]).status_code == 204

    assert client.job(location)["state"] == "cancelled"
    wait_until(lambda: not stored(site, job))
    refused(client.get(job["links"]["video"]), 404)
