"""Uploads by the tus protocol, as its clients meet them on a running site: lines drop and web processes die."""

import asyncio
import base64
import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiotus
import httpx
import pytest
from tusclient.client import TusClient

from tests.browser import ROOT, with_node
from tests.client import Client, Visitor, new_email
from tests.contract import refused
from tests.stack import Stack
from tests.waiting import wait_until
from videos import resumable
from videos.models import Upload, Video

UPLOADS = "/api/uploads"
LIMIT = 50_000_000  # bytes of an upload
BODY = {"Content-Type": "application/offset+octet-stream"}
HELLO = b"hello, world"


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web", "valkey"], MAX_UPLOAD_BYTES=str(LIMIT), MAX_OPEN_UPLOADS="4", WEB_WORKERS="2")


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    """A person's program that speaks tus."""
    with Client(site, new_email()) as client:
        client.headers["Tus-Resumable"] = "1.0.0"
        yield client


@pytest.fixture
def stranger(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        client.headers["Tus-Resumable"] = "1.0.0"
        yield client


def begin(client: Client, length: int, content: bytes | None = None, **headers: str) -> httpx.Response:
    headers = {"Upload-Length": str(length), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client.post(UPLOADS, headers={**headers, **(BODY if content is not None else {})}, content=content)


def begun(client: Client, length: int, content: bytes | None = None, **headers: str) -> str:
    answer = begin(client, length, content, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def send(client: Client, url: str, content: Any, at: int, **headers: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.patch(url, content=content, headers={"Upload-Offset": str(at), **BODY, **headers})


def offset(client: Client, url: str) -> int:
    answer = client.head(url)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def described(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def videos(client: Client) -> list[dict[str, Any]]:
    return client.get("/api/videos").json()


def original(site: Stack, video: dict[str, Any]) -> bytes:
    return (site.folder / "media" / "videos" / video["id"] / "original").read_bytes()


def arriving(site: Stack, url: str) -> Path:
    return site.folder / "uploads" / "resumable" / url.rpartition("/")[2]


# --- from the first byte to the video ---


def test_an_upload_in_several_requests_becomes_one_video_with_its_job(site, client):
    created = begin(client, len(HELLO), upload_metadata=described(filename="Harbour_at_four.mov", filetype="video/mp4"))

    assert (created.status_code, created.headers["tus-resumable"]) == (201, "1.0.0")
    url = created.headers["location"]
    first = send(client, url, HELLO[:5], at=0)
    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    assert "GMT" in first.headers["upload-expires"]
    assert videos(client) == []
    asked = client.head(url).headers
    assert (asked["upload-offset"], asked["upload-length"], asked["cache-control"]) == ("5", "12", "no-store")
    assert asked["upload-metadata"].startswith("filename SGFy")
    last = send(client, url, HELLO[5:], at=5)
    assert (last.status_code, last.headers["upload-offset"]) == (204, "12")

    (video,) = videos(client)
    assert video["title"] == "Harbour at four"
    assert last.headers["link"] == f'</api/videos/{video["id"]}>; rel="related"'
    assert (video["job"]["task"], video["job"]["state"]) == ("videos.transcode_video", "queued")
    assert original(site, video) == HELLO
    assert not arriving(site, url).exists()


def test_asking_and_sending_again_changes_nothing(site, client):
    url = begun(client, len(HELLO))
    for _ in range(2):
        send(client, url, HELLO, at=0)
    assert send(client, url, b"", at=len(HELLO)).status_code == 204
    assert offset(client, url) == len(HELLO)
    assert len(videos(client)) == len(client.get("/api/jobs").json()) == 1


def test_bytes_may_come_with_the_creation(client):
    whole = begin(client, len(HELLO), HELLO)
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, "12")
    part = begin(client, len(HELLO), HELLO[:3])
    assert (part.status_code, part.headers["upload-offset"]) == (201, "3")
    assert len(videos(client)) == 1


def test_without_a_content_length_it_takes_what_was_announced_and_no_more(site, client):
    url = begun(client, 5)
    refused(send(client, url, iter([HELLO]), at=0), 413)
    assert offset(client, url) == 5
    assert original(site, *videos(client)) == HELLO[:5]


def test_what_it_can_do_is_said_to_everybody(site):
    said = site.http.options(UPLOADS)
    assert (said.status_code, said.headers["tus-version"], said.headers["tus-max-size"]) == (204, "1.0.0", str(LIMIT))
    for extension in ("creation", "creation-with-upload", "expiration", "termination", "checksum", "concatenation"):
        assert extension in said.headers["tus-extension"].split(",")
    assert "sha1" in said.headers["tus-checksum-algorithm"].split(",")


# --- what is refused, and why ---


def test_what_cannot_be_understood_is_refused_with_a_reason(client):
    assert "Upload-Length" in refused(client.post(UPLOADS), 400)
    assert "Upload-Length" in refused(client.post(UPLOADS, headers={"Upload-Length": "-1"}), 400)
    assert "Base64" in refused(begin(client, 5, upload_metadata="filename ***"), 400)
    url = begun(client, 5)
    assert "Upload-Offset" in refused(client.patch(url, content=b"x", headers=BODY), 400)
    assert "offset+octet" in refused(client.patch(url, content=b"x", headers={"Upload-Offset": "0"}), 415)
    assert "checksum" in refused(send(client, url, b"x", at=0, upload_checksum="crc32 AAAA"), 400).lower()
    assert "at offset 0, not 1" in refused(send(client, url, b"x", at=1), 409)
    assert "5 bytes" in refused(send(client, url, HELLO, at=0), 413)
    assert offset(client, url) == 0
    for version in ("", "0.2.2"):
        answer = client.post(UPLOADS, headers={"Tus-Resumable": version, "Upload-Length": "5"})
        refused(answer, 412)
        assert answer.headers["tus-version"] == "1.0.0"
    refused(client.put(url), 405)
    for nowhere in ("none", "..%2fvideos", "9f6a6d8e-7f38-4f9c-8d36-0b7d6c2d0f3a"):
        assert client.head(f"{UPLOADS}/{nowhere}").status_code == 404


def test_a_file_over_the_limit_is_refused_before_a_byte_is_sent(client):
    assert "too large. Videos may have up to 47.7" in refused(begin(client, LIMIT + 1), 413)
    assert "empty" in refused(begin(client, 0), 422)


def test_open_uploads_are_limited(client):
    urls = [begun(client, 5) for _ in range(4)]
    assert "Finish or cancel" in refused(begin(client, 5), 429)
    assert client.delete(urls[0]).status_code == 204
    begun(client, 5)


def test_what_is_announced_and_what_is_kept_count_against_the_quota(client, monkeypatch, settings, site):
    with site.inside():
        settings.UPLOAD_QUOTA_BYTES = 100
        done = resumable.begin(client.user, 60)
        with pytest.raises(resumable.Refused, match="you have 40\xa0bytes left. Delete"):
            resumable.begin(client.user, 41)
        done.path.write_bytes(b"x" * 60)
        resumable.finish(done)
        with pytest.raises(resumable.Refused, match="40"):
            resumable.begin(client.user, 41)
        Video.objects.get(pk=done.pk).remove()
        resumable.begin(client.user, 100)


# --- whose it is ---


def test_what_belongs_to_others_is_not_there(client, stranger):
    url = begun(client, 5, upload_concat="partial")
    assert stranger.head(url).status_code == 404
    refused(stranger.get(url), 404)
    refused(send(stranger, url, b"hello", at=0), 404)
    refused(stranger.delete(url), 404)
    refused(stranger.post(UPLOADS, headers={"Upload-Concat": f"final;{url}"}), 404)
    assert offset(client, url) == 0


def test_nobody_is_nobody(site):
    answer = site.http.post(UPLOADS, headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Origin": site.url})
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_session_acts_only_for_pages_of_ours(site, client):
    visitor = Visitor(site, client)
    visitor.headers.update({"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
    for foreign in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        refused(visitor.post(UPLOADS, headers=foreign), 403)
    ours = visitor.post(UPLOADS, headers={"Origin": site.url})
    assert ours.status_code == 201
    assert (
        "access-control-allow-origin"
        not in visitor.options(UPLOADS, headers={"Origin": "https://evil.example"}).headers
    )
    refused(visitor.delete(ours.headers["location"]), 403)
    visitor.close()


# --- lines that drop, and processes that die ---


def dropped(site: Stack, client: Client, url: str, content: bytes, *, announced: int, **headers: str) -> socket.socket:
    """Send the first part of a request, and keep the line open."""
    headers |= {"Host": "test", "Tus-Resumable": "1.0.0", "Authorization": f"Bearer {client.token}", **BODY}
    headers |= {"Upload-Offset": "0", "Content-Length": str(announced)}
    line = socket.create_connection(("127.0.0.1", site.port))
    lines = [f"PATCH {url} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    line.sendall("\r\n".join([*lines, "", ""]).encode() + content)
    return line


def test_what_arrived_before_the_line_dropped_is_kept(site, client):
    url = begun(client, len(HELLO))
    line = dropped(site, client, url, HELLO[:7], announced=len(HELLO))
    wait_until(lambda: offset(client, url) == 7)
    line.close()

    answer = wait_until(lambda: (answer := send(client, url, HELLO[7:], at=7)).status_code != 423 and answer)

    assert answer.status_code == 204
    assert original(site, *videos(client)) == HELLO


def test_of_two_at_once_one_writes(site, client):
    """Also when two web processes have them, as here."""
    url = begun(client, len(HELLO))
    line = dropped(site, client, url, HELLO[:7], announced=len(HELLO))
    wait_until(lambda: offset(client, url) == 7)

    for _ in range(8):  # over new lines, so that each process gets some
        with Client(site, client.user.email) as other:
            other.headers["Tus-Resumable"] = "1.0.0"
            assert "Another request" in refused(send(other, url, HELLO[7:], at=7), 423)

    line.sendall(HELLO[7:])
    assert b" 204 " in line.recv(1000)
    line.close()
    assert original(site, *videos(client)) == HELLO


def test_what_arrived_before_the_web_process_died_is_kept(site, client):
    content = os.urandom(3_000_000)
    url = begun(client, len(content))
    line = dropped(site, client, url, content[:2_000_000], announced=len(content))
    wait_until(lambda: offset(client, url) == 2_000_000)

    site.kill("web")
    wait_until(site.healthy)

    assert offset(client, url) == 2_000_000
    assert send(client, url, content[2_000_000:], at=2_000_000).status_code == 204
    assert original(site, *videos(client)) == content
    line.close()


def test_a_sender_that_says_nothing_lets_others_in(client, monkeypatch):
    from starlette.requests import ClientDisconnect, Request

    from videos import tus

    monkeypatch.setattr(tus, "STALLED", 0.01)

    async def silence() -> None:
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in tus.pieces(Request({"type": "http"}, silence)):
            pass

    with pytest.raises(ClientDisconnect):
        asyncio.run(read())


# --- checksums ---


def checksum(content: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def test_bytes_that_do_not_match_their_checksum_are_thrown_away(site, client):
    url = begun(client, len(HELLO))
    assert send(client, url, HELLO[:5], at=0, upload_checksum=checksum(HELLO[:5])).status_code == 204
    wrong = send(client, url, b"x" * 7, at=5, upload_checksum=checksum(HELLO[5:]))
    assert "Send it again" in refused(wrong, 460)
    assert offset(client, url) == 5
    assert send(client, url, HELLO[5:], at=5, upload_checksum=checksum(HELLO[5:], "sha256")).status_code == 204
    assert original(site, *videos(client)) == HELLO


@pytest.mark.parametrize("die", [False, True], ids=["the line drops", "the web process is killed"])
def test_what_could_not_be_verified_is_thrown_away(site, client, die):
    url = begun(client, len(HELLO))
    line = dropped(site, client, url, HELLO[:7], announced=12, upload_checksum=checksum(HELLO))
    wait_until(lambda: arriving(site, url).stat().st_size == 7)
    assert offset(client, url) == 0, "not before it is verified"
    if die:
        site.kill("web")
        wait_until(site.healthy)
    line.close()

    answer = wait_until(lambda: (answer := send(client, url, HELLO, at=0)).status_code != 423 and answer)

    assert answer.status_code == 204
    assert original(site, *videos(client)) == HELLO


# --- parts ---


def test_parts_are_put_together(site, client):
    parts = [begun(client, len(piece), piece, upload_concat="partial") for piece in (HELLO[:5], HELLO[5:])]
    assert videos(client) == []
    final = {
        "Upload-Concat": f"final;{parts[0]} {site.url}{parts[1]}",
        "Upload-Metadata": described(filename="whole.mp4"),
    }

    made = [client.post(UPLOADS, headers=final) for _ in range(2)]

    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].headers["location"] == made[1].headers["location"], "asked again"
    asked = client.head(made[0].headers["location"]).headers
    assert asked["upload-concat"] == final["Upload-Concat"]
    assert (asked["upload-length"], asked["upload-offset"]) == ("12", "12")
    (video,) = videos(client)
    assert (video["title"], original(site, video)) == ("whole", HELLO)
    refused(send(client, made[0].headers["location"], b"", at=12), 403)
    assert not any(arriving(site, part).exists() for part in parts)


def test_parts_that_are_not_all_here_are_not_put_together(client):
    parts = [begun(client, 5, b"hello"[:size], upload_concat="partial") for size in (5, 4)]
    assert "complete" in refused(client.post(UPLOADS, headers={"Upload-Concat": f"final;{' '.join(parts)}"}), 422)
    refused(client.post(UPLOADS, headers={"Upload-Concat": "final;"}), 422)
    refused(client.post(UPLOADS, headers={"Upload-Concat": "half"}), 400)
    assert client.head(parts[1]).headers["upload-concat"] == "partial"


# --- giving up ---


def test_an_upload_that_was_ended_is_gone_with_its_bytes(site, client):
    url = begun(client, 12, b"hello")
    assert client.delete(url).status_code == 204
    refused(client.delete(url), 404)
    assert client.head(url).status_code == 404
    assert not arriving(site, url).exists()


def test_ending_one_that_is_finished_deletes_the_video(site, client):
    url = begun(client, 5, b"hello")
    assert client.delete(url).status_code == 204
    assert videos(client) == []
    assert not (site.folder / "media" / "videos" / url.rpartition("/")[2] / "original").exists()


def test_an_expired_upload_says_so_and_is_removed(site, client):
    old, young = begun(client, 12, b"hello"), begun(client, 12, b"hello")
    with site.inside():
        Upload.objects.filter(pk=old.rpartition("/")[2]).update(expires_at="2020-01-01T00:00Z")
        assert client.head(old).status_code == 410
        assert "Begin a new one" in refused(send(client, old, b"!", at=5), 410)
        tidy(site)
    assert client.head(old).status_code == 404
    assert not arriving(site, old).exists()
    assert offset(client, young) == 5


def test_files_that_belong_to_nobody_are_removed(site, client):
    stray, new = arriving(site, "/stray"), arriving(site, "/new")
    url = begun(client, 12, b"hello")
    for path in (stray, new):
        path.write_bytes(b"left behind")
    for path in (stray, arriving(site, url)):
        os.utime(path, (0, 0))
    with site.inside():
        tidy(site)
    assert not stray.exists() and new.exists()
    assert offset(client, url) == 5


def tidy(site: Stack) -> None:
    """As the hourly task does, with the site's folders."""
    from django.test import override_settings

    with override_settings(UPLOAD_DIR=site.folder / "uploads" / "resumable", MEDIA_ROOT=site.folder / "media"):
        resumable.tidy()


# --- finishing ---


class Died(BaseException):
    """As a process does: nothing catches it."""


@pytest.mark.parametrize("way", ["asked again", "left alone"])
@pytest.mark.parametrize("moment", ["before the renaming", "after the renaming", "before the commit"])
@pytest.mark.django_db
def test_a_crash_while_finishing_is_made_good(settings, tmp_path, monkeypatch, django_user_model, moment, way):
    settings.UPLOAD_DIR, settings.MEDIA_ROOT = tmp_path / "arriving", tmp_path / "media"
    settings.UPLOAD_DIR.mkdir()
    owner = django_user_model.objects.create_user(new_email())
    upload = resumable.begin(owner, 5)
    upload.path.write_bytes(b"hello")
    places = {"before the renaming": "flush", "after the renaming": "hand_over", "before the commit": "hand_over"}

    def die(*_: Any) -> None:
        if moment == "before the commit":
            hand_over(*_)
        raise Died

    hand_over = resumable.hand_over
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(resumable, places[moment], die)
        resumable.finish(upload)

    assert not Video.objects.exists()
    upload = resumable.find(owner, upload.pk)
    assert upload.complete, "so that whoever asks sends nothing twice"
    if way == "left alone":
        resumable.tidy()
    else:
        resumable.finish(upload)
    resumable.finish(upload)

    video = Video.objects.get()
    assert (video.pk, Path(video.original.path).read_bytes()) == (upload.pk, b"hello")
    assert video.job.state == "queued"
    assert not list(settings.UPLOAD_DIR.iterdir())


# --- the clients that people use ---


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    film = tmp_path_factory.mktemp("films") / "film.mp4"
    film.write_bytes(os.urandom(3_000_000))
    return film


def test_tuspy_uploads(site, client, film):
    headers = {"Authorization": f"Bearer {client.token}"}
    tus = TusClient(site.url + UPLOADS, headers=headers)
    half = tus.uploader(str(film), chunk_size=700_000, metadata={"filename": film.name}, upload_checksum=True)
    half.upload(stop_at=1_400_000)
    assert videos(client) == []
    tus.uploader(str(film), chunk_size=700_000, url=half.url, upload_checksum=True).upload()
    (video,) = videos(client)
    assert (video["title"], original(site, video)) == ("film", film.read_bytes())


@pytest.mark.parametrize("at_once", [1, 3])
def test_aiotus_uploads(site, client, film, at_once):
    headers = {"Authorization": f"Bearer {client.token}"}
    metadata = {"filename": film.name.encode()}

    async def upload() -> None:
        with film.open("rb") as file:
            if at_once == 1:
                assert await aiotus.upload(site.url + UPLOADS, file, metadata, headers=headers, chunksize=1_000_000)
                return
        pieces = [film.with_name(f"piece{number}") for number in range(at_once)]
        for number, piece in enumerate(pieces):
            piece.write_bytes(film.read_bytes()[number * 1_000_000 : (number + 1) * 1_000_000])
        files = [piece.open("rb") for piece in pieces]
        assert await aiotus.upload_multiple(site.url + UPLOADS, files, metadata, headers=headers)
        for file in files:
            file.close()

    asyncio.run(upload())
    (video,) = videos(client)
    assert (video["title"], original(site, video)) == ("film", film.read_bytes())


BY_NODE = """
const tus = require("tus-js-client");
const [, endpoint, path, token, parallel] = process.argv;
const upload = new tus.Upload(require("fs").createReadStream(path), {
  endpoint, chunkSize: 500_000, parallelUploads: Number(parallel), headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "film.mp4" }, onError: (error) => { console.error(error); process.exit(1); },
});
upload.start();
"""


@pytest.mark.parametrize("at_once", [1, 3])
def test_tus_js_client_uploads(site, client, film, at_once):
    arguments = [site.url + UPLOADS, str(film), client.token, str(at_once)]
    node = {"cwd": ROOT, "env": {**os.environ, "PATH": with_node()}, "capture_output": True, "text": True}
    done = subprocess.run(["node", "-e", BY_NODE, *arguments], timeout=60, **node)
    assert done.returncode == 0, done.stderr
    (video,) = videos(client)
    assert (video["title"], original(site, video)) == ("film", film.read_bytes())
