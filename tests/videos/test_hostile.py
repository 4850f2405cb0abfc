"""Uploads made to do harm, sent to a running site: each ends in words for its sender, or as a video like any other."""

import os
import re
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import media
from tests.client import Client, new_email
from tests.stack import Stack
from videos import probing, transcoding

SECRET = b"not for your eyes"
SENTENCES = {value for value in vars(probing).values() if isinstance(value, str) and value.endswith(".")}


class World(NamedTuple):
    """What the uploads name, hoping that somebody opens it."""

    listener: str  # host and port
    theirs: Path  # another person's upload
    clip: bytes  # a small MP4 that is as it should be
    secret: Path


# ---- What is sent: the file's name, and what is in it


def hls(world: World) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{world.theirs}\n#EXT-X-ENDLIST\n".encode()


def hls_from_network(world: World) -> bytes:
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="http://{world.listener}/key"'
    init = f'#EXT-X-MAP:URI="http://{world.listener}/init.mp4"'
    segment = f"#EXTINF:1,\nhttp://{world.listener}/segment.ts"
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{key}\n{init}\n{segment}\n#EXT-X-ENDLIST\n".encode()


def hls_of_subfile(world: World) -> bytes:
    outer = f"concat:http://{world.listener}/header|subfile,,start,0,end,999,,:{world.secret}"
    return f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{outer}\n#EXT-X-ENDLIST\n".encode()


def dash(world: World) -> bytes:
    return f"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
        mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>
        <AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="9" width="64" height="64">
        <BaseURL>http://{world.listener}/video.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>""".encode()


def ffconcat(world: World) -> bytes:
    return f"ffconcat version 1.0\nfile '{world.theirs}'\nfile 'http://{world.listener}/x.mp4'\n".encode()


def sdp(world: World) -> bytes:
    host, port = world.listener.split(":")
    return f"v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\nm=video {port} RTP/AVP 96\n".encode()


def entity_bomb(world: World) -> bytes:
    layers = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    outside = f'<!ENTITY file SYSTEM "file://{world.secret}"><!ENTITY net SYSTEM "http://{world.listener}/">'
    return f'<!DOCTYPE svg [<!ENTITY a0 "ha">{layers}{outside}]><svg>&a11;&file;&net;</svg>'.encode()


def zip_bomb(world: World) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("upload.mp4", bytes(50_000_000))
    return packed.getvalue()


def png_bomb(world: World) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))


def huge_pictures(world: World) -> bytes:
    """65,535 by 65,535, by the sample description that every decoder reads first."""
    return patched(world.clip, b"avc1", 28, struct.pack(">HH", 65_535, 65_535), occurrence=-1)


def endless(world: World) -> bytes:
    """Frames that are shown for days."""
    return patched(world.clip, b"stts", 16, struct.pack(">I", 0x7FFF_FFFF), occurrence=0)


def billion_frames_a_second(world: World) -> bytes:
    return patched(world.clip, b"mdhd", 16, struct.pack(">I", 1_000_000_000), occurrence=0)


def too_many_samples(world: World) -> bytes:
    """A table that promises 4 billion entries and has none of them."""
    return patched(world.clip, b"stsz", 12, struct.pack(">I", 0xFFFF_FFFF), occurrence=0)


def elsewhere(world: World) -> bytes:
    """An MP4 that says its pictures are in another file (ISO/IEC 14496-12, 8.7.2)."""
    address = f"file://{world.theirs}\0".encode()
    box = struct.pack(">I4sI", 12 + len(address), b"url ", 0) + address
    at = world.clip.index(b"url ") - 4
    return world.clip[:at] + box + world.clip[at + 12 :]


def quicktime_reference(world: World) -> bytes:
    """A film that is only the address of another."""
    address = f"http://{world.listener}/film.mov\0".encode()
    reference = b"rdrf" + struct.pack(">I4sI", 0, b"url ", len(address)) + address
    boxes = [b"rmra", b"rmda"]
    made = struct.pack(">I", len(reference) + 4) + reference
    for kind in reversed([b"moov", *boxes]):
        made = struct.pack(">I", len(made) + 8) + kind + made
    return struct.pack(">I4s4sI", 16, b"ftyp", b"qt  ", 0) + made


def also_html(world: World) -> bytes:
    page = b"<html><script>alert(1)</script></html>" + SECRET
    return struct.pack(">I4s", 8 + len(page), b"free") + page + world.clip


def also_zip(world: World) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../evil.sh", SECRET)
    return world.clip + packed.getvalue()


def as_it_should_be(world: World) -> bytes:
    return world.clip


def patched(whole: bytes, box: bytes, offset: int, value: bytes, *, occurrence: int) -> bytes:
    """With `value` written so many bytes behind the name of a box."""
    found = [match.start() for match in re.finditer(re.escape(box), whole)]
    at = found[occurrence] + offset
    return whole[:at] + value + whole[at + len(value) :]


REFUSED: dict[str, tuple[str, Callable[[World], bytes]]] = {
    "HLS": ("upload.mp4", hls),
    "HLS by its name": ("upload.m3u8", hls),
    "HLS from the network": ("upload.m3u8", hls_from_network),
    "HLS of a part of a file": ("upload.avi", hls_of_subfile),
    "DASH": ("upload.mpd", dash),
    "ffconcat": ("upload.ffconcat", ffconcat),
    "ffconcat as MP4": ("upload.mp4", ffconcat),
    "SDP": ("upload.sdp", sdp),
    "image sequence": ("frame%03d.png", png_bomb),
    "image pattern": ("*.png", png_bomb),
    "entities": ("upload.svg", entity_bomb),
    "zip": ("upload.zip", zip_bomb),
    "pixels of a PNG": ("upload.png", png_bomb),
    "samples": ("upload.mp4", too_many_samples),
    "QuickTime reference": ("upload.mov", quicktime_reference),
}
EITHER = {
    "a frame for days": ("upload.mp4", endless),
    "pixels of an MP4": ("upload.mp4", huge_pictures),
    "polyglot with HTML": ("page.html", also_html),  # what follows is no longer where the index says
    "pictures elsewhere": ("upload.mp4", elsewhere),
    "a billion frames a second": ("upload.mp4", billion_frames_a_second),
}
HARMLESS = {
    "polyglot with ZIP": ("archive.zip", also_zip),
    "newline": ("two\nlines.mp4", as_it_should_be),
    "quotes": ("\"';rm -rf $HOME`id`.mp4", as_it_should_be),
    "dashes": ("-i -f lavfi --.mp4", as_it_should_be),
    "pattern": ("%d%s%n{0}.mp4", as_it_should_be),
    "path": ("../../../etc/passwd", as_it_should_be),
    "protocol": ("concat:a|http://b.mp4", as_it_should_be),
    "direction": ("holiday\u202egpj.mp4", as_it_should_be),
}


# ---- Sent, all of them


class Outcome(NamedTuple):
    job: dict[str, Any]
    video: dict[str, Any] | None


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web", "worker-media", "valkey"])


@pytest.fixture(scope="module")
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(scope="module")
def world(site, listener, tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("hostile")
    victim = Client(site, new_email())
    secret = media.odd(folder, "their.ts", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-metadata", "title=secret")
    assert victim.finished(victim.upload(secret).headers["location"])["state"] == "succeeded"
    [theirs] = (site.folder / "media" / "videos").glob("*/original")
    (folder / "secret").write_bytes(SECRET)
    small = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=0.4", "-c:v", "libx264", "-preset", "ultrafast"]
    clip = media.odd(folder, "small.mp4", *small, "-movflags", "+faststart").read_bytes()
    os.utime(theirs, (0, 0))
    os.utime(folder / "secret", (0, 0))
    return World("{}:{}".format(*listener.getsockname()), theirs, clip, folder / "secret")


@pytest.fixture(scope="module")
def workers(site) -> set[int]:
    return {site.pid("worker-media"), *site.children("worker-media")}


@pytest.fixture(scope="module")
def outcomes(site, world, workers) -> dict[str, Outcome]:
    attacker = Client(site, new_email())
    locations = {}
    for kind, (name, content) in {**REFUSED, **EITHER, **HARMLESS}.items():
        answer = attacker.post("/api/videos", files={"file": (name, content(world))})
        assert answer.status_code == 202, (kind, answer.text)
        locations[kind] = answer.headers["location"]
    outcomes = {}
    for kind, location in locations.items():
        job = attacker.finished(location)
        video = attacker.get(job["links"]["video"])
        outcomes[kind] = Outcome(job, video.json() if video.is_success else None)
    return outcomes


@pytest.mark.parametrize("kind", REFUSED)
def test_is_refused_at_once_in_words_for_people(outcomes, kind):
    refused_for_people(outcomes[kind].job)


@pytest.mark.parametrize("kind", EITHER)
def test_is_refused_in_words_for_people_or_is_a_small_video(outcomes, kind):
    job, video = outcomes[kind]
    if job["state"] != "succeeded":
        refused_for_people(job)
    else:
        assert video["duration"] < 15


@pytest.mark.parametrize("kind", HARMLESS)
def test_is_a_video_like_any_other(outcomes, kind):
    job, video = outcomes[kind]
    assert (job["state"], job["attempt"]) == ("succeeded", 1), job["error"]
    assert not re.search("[\x00-\x1f\u202a-\u202e\u2066-\u2069]", video["title"])


def test_nobody_was_called(outcomes, listener):
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_nobody_elses_file_was_read(outcomes, world):
    assert world.theirs.stat().st_atime == 0
    assert world.secret.stat().st_atime == 0


def test_the_worker_is_the_same_as_before(outcomes, site, workers):
    assert {site.pid("worker-media"), *site.children("worker-media")} == workers


def test_nothing_is_left_but_what_is_published(outcomes, site, world):
    assert list((site.folder / "work").iterdir()) == []
    for kind, (job, _) in outcomes.items():
        folder = site.folder / "media" / "videos" / Path(job["links"]["video"]).name
        left = [path.name for path in folder.rglob("*") if path.is_file()]
        if job["state"] != "succeeded":
            assert left == [], kind


def test_nothing_that_was_hidden_in_a_file_is_published(outcomes, site):
    for path in (site.folder / "media").rglob("*"):
        if path.is_file() and path.name != "original":
            assert SECRET not in path.read_bytes()


def refused_for_people(job: dict[str, Any]) -> None:
    assert (job["state"], job["attempt"]) == ("dead", 1), job
    said = job["error"]["message"] if isinstance(job["error"], dict) else job["error"]
    known = said in SENTENCES or said.startswith(("The file is incomplete: it ends after", transcoding.DAMAGED))
    assert known, said
    assert not re.search("/|ffmpeg|ffprobe|0x|Invalid", said)
