"""The addresses of media files: who may use them, for how long, and what is answered there."""

import http.client
import time
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from files import serving
from tests.client import Client, Visitor, new_email
from tests.stack import Stack
from videos.models import Rendition, Video

CONTENT = bytes(range(256)) * 100
HOUR = 3600
TEN = 1_800_000_000 // HOUR * HOUR  # the beginning of an hour


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web"])


@pytest.fixture(scope="module")
def owner(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture(scope="module")
def rendition(site: Stack, owner: Client) -> Rendition:
    """A file in the site's storage, such as transcoding leaves there."""
    with site.inside():
        video = Video.objects.create(owner=owner.user, title="Harbour")
        name = f"{video.folder}/attempt/720p.mp4"
        (site.folder / "media" / name).parent.mkdir(parents=True)
        (site.folder / "media" / name).write_bytes(CONTENT)
        (site.folder / "media" / video.folder / "original").write_bytes(b"as uploaded")
        return Rendition.objects.create(video=video, name="720p", width=1280, height=720, file=name)


@pytest.fixture
def address(rendition: Rendition) -> str:
    return serving.address(rendition.file, rendition.video.owner_id)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, rendition: Rendition):
    """The address of the file as a page shows it at another time."""

    def address_at(moment: float) -> str:
        monkeypatch.setattr(serving, "time", SimpleNamespace(time=lambda: moment))
        return serving.address(rendition.file, rendition.video.owner_id)

    return address_at


# --- for how long ---


def test_all_pages_of_an_hour_show_the_same_address_so_that_the_browser_fetches_a_file_once(site, owner, rendition, at):
    assert at(TEN) == at(TEN + 1800) == at(TEN + HOUR - 0.1)
    assert at(TEN + HOUR) != at(TEN)
    answer = site.http.get(at(time.time()))
    assert "max-age=" in answer.headers["cache-control"] and "private" in answer.headers["cache-control"]
    assert answer.headers["etag"]


def test_an_address_lasts_longer_than_anybody_watches_and_then_no_more(site, at):
    now = time.time()
    assert site.http.get(at(now - serving.LIFETIME + 60)).status_code == 200
    assert site.http.get(at(now - serving.LIFETIME - HOUR - 60)).status_code == 404


# --- for whom ---


def test_whoever_has_the_address_and_is_nobody_else_may_watch(site, owner, address):
    assert site.http.get(address).content == CONTENT, "a player that sends no cookies"
    assert owner.get(address).content == CONTENT
    visitor = Visitor(site, owner)
    assert visitor.get(address).content == CONTENT
    visitor.close()


def test_in_the_hands_of_another_user_an_address_is_none(site, address):
    with Client(site, new_email()) as stranger:
        assert stranger.get(address).status_code == 404
        visitor = Visitor(site, stranger)
        assert visitor.get(address).status_code == 404
        visitor.close()


def test_an_address_that_was_changed_is_none(site, owner, address, rendition):
    _, _, ticket, name = address.split("/")
    payload, signature = ticket.split(":")
    folder = str(rendition.file.name).rpartition("/")[0]
    other = serving.signer.sign_object([owner.user.pk + 1, folder, 2**40]).split(":")[0]
    for forged in (f"{other}:{signature}", f"{payload}:{signature[:-1]}", f"{payload}:", payload, "", "x" * 5000):
        assert site.http.get(f"/media/{forged}/{name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../../../etc/passwd",
        "/media/%2e%2e/%2e%2e/nightshift.sqlite3",
        "/media//etc/passwd",
        "/media/..%5c..%5cnightshift.sqlite3",
        "/media/%00",
        "/media",
        "/media/",
    ],
)
def test_there_is_no_way_around_the_ticket(site, path):
    connection = http.client.HTTPConnection("127.0.0.1", site.port)  # unlike others it leaves a path as it is
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"root:" not in answer.read()
    connection.close()


def test_an_address_serves_what_lies_beside_the_file_and_nothing_else(site, rendition, address):
    """So that a playlist can name its segments."""
    beside = site.folder / "media" / rendition.video.folder / "attempt" / "720p.m3u8"
    beside.write_text("#EXTM3U\n")
    there = address.rpartition("/")[0]
    answer = site.http.get(f"{there}/720p.m3u8")
    assert (answer.text, answer.headers["content-type"]) == ("#EXTM3U\n", "application/vnd.apple.mpegurl")
    for path in ("original", "../original", "..%2foriginal", "%2e%2e/original", "", ".", "..", "x/../720p.m3u8"):
        connection = http.client.HTTPConnection("127.0.0.1", site.port)
        connection.request("GET", f"{there}/{path}")
        assert connection.getresponse().status == 404, path
        connection.close()


def test_the_file_of_a_deleted_video_is_not_there(site, owner, rendition):
    with site.inside():
        gone = Rendition(video=rendition.video, file=f"{rendition.video.folder}/attempt/480p.mp4")
    assert site.http.get(serving.address(gone.file, gone.video.owner_id)).status_code == 404


# --- what is answered ---


def test_a_player_gets_the_bytes_it_asks_for(site, address):
    def ranged(wanted: str, **headers: str) -> httpx.Response:
        return site.http.get(address, headers={"Range": wanted, **headers})

    whole = site.http.get(address)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.headers["x-content-type-options"] == "nosniff"
    size = len(CONTENT)
    for wanted, begin, end in [
        ("bytes=0-99", 0, 100),
        ("bytes=25000-", 25000, size),
        ("bytes=-10", size - 10, size),
        ("bytes=25500-99999", 25500, size),
    ]:
        part = ranged(wanted)
        assert (part.status_code, part.content) == (206, CONTENT[begin:end])
        assert part.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
    beyond = ranged(f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert ranged("bytes=0-99", **{"If-Range": whole.headers["etag"]}).status_code == 206
    assert ranged("bytes=0-99", **{"If-Range": '"another file"'}).content == CONTENT


def test_the_head_says_what_there_is_and_sends_nothing(site, address):
    head = site.http.head(address)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(CONTENT)), b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_media_files_are_only_read(site, address, method):
    answer = site.http.request(method, address)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
