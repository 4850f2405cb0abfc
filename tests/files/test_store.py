"""Media in an object store: a site whose web server and workers share no disk, and a store that checks signatures."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import override_settings
from django.utils import timezone

from reports import expiring
from reports.models import Report
from tests.browser import ROOT
from tests.client import Client, new_email
from tests.media import clip
from tests.objectstore import ObjectStore, object_store
from tests.stack import Stack
from videos import orphans
from videos.models import Video

MB = 1024 * 1024


@pytest.fixture(scope="module")
def bucket() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(scope="module")
def site(make_module_stack: Callable[..., Stack], bucket: ObjectStore) -> Stack:
    """Each process has a disk of its own, as on machines of their own."""
    return make_module_stack(only=["web", "worker-media", "worker-reports", "valkey"], **bucket.env)


@pytest.fixture(scope="module")
def owner(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of film, in a file of more than one part: players skip what a box `free` holds."""
    film = clip(tmp_path_factory.mktemp("films"), seconds=1, size="320x240")
    with film.open("ab") as file:
        file.write((6 * MB).to_bytes(4, "big") + b"free" + bytes(6 * MB - 8))
    return film


@pytest.fixture(scope="module")
def video(owner: Client, film: Path) -> dict[str, object]:
    """Sent as a form and made, as a program sees it."""
    job = owner.finished(owner.upload(film).headers["Location"], timeout=120)
    assert job["state"] == "succeeded", job
    return owner.get(job["links"]["video"]).json()


@contextmanager
def inside(site: Stack, bucket: ObjectStore) -> Iterator[None]:
    with site.inside(), override_settings(**bucket.settings):
        yield


def test_without_a_store_nobody_pays_for_its_client():
    code = "import config.asgi, config.celery, sys; sys.exit('boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_is_uploaded_and_made_lies_in_the_store_and_nowhere_else(site, bucket, video, film):
    files = {name: size for name, size in bucket.files().items() if str(video["id"]) in name}
    assert files[f"videos/{video['id']}/original"] == film.stat().st_size
    assert {"master.m3u8", "video.mp4", "poster.jpg", "storyboard.vtt"} <= {name.split("/")[-1] for name in files}
    left = [path for folder in ("media", "work", "uploads") for path in (site.folder / folder).rglob("*")]
    assert not [path for path in left if path.is_file()]


def test_players_read_playlists_here_and_are_led_to_the_store_for_the_rest(site, bucket, owner, video):
    playlist = site.http.get(video["playlist_url"])
    assert (playlist.status_code, playlist.headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert playlist.text.startswith("#EXTM3U")
    led = site.http.get(video["mp4_url"])
    assert led.status_code == 302
    assert led.headers["location"].startswith(bucket.env["AWS_S3_ENDPOINT_URL"])
    private, _, seconds = led.headers["cache-control"].partition(", max-age=")
    lasts = int(dict(pair.split("=") for pair in led.headers["location"].split("?")[1].split("&"))["X-Amz-Expires"])
    assert private == "private" and int(seconds) < lasts
    part = site.http.get(video["mp4_url"], headers={"Range": "bytes=4-7"}, follow_redirects=True)
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"ftyp", "video/mp4")
    assert site.http.head(video["mp4_url"], follow_redirects=True).status_code == 200
    stolen = led.headers["location"].replace("/video.mp4?", "/poster.jpg?")
    assert site.http.get(stolen).status_code == 403, "the store checks what was signed"


def test_another_user_is_led_nowhere(site, video):
    with Client(site, new_email()) as stranger:
        assert stranger.get(video["mp4_url"]).status_code == 404
        assert stranger.get(video["playlist_url"]).status_code == 404


def test_the_browser_is_told_of_the_store_and_of_no_other_place(site, bucket):
    policy = site.http.get("/login").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    origin = bucket.env["AWS_S3_ENDPOINT_URL"]
    assert {name for name, sources in rules.items() if origin in sources} == {"img-src", "media-src", "connect-src"}


def test_a_report_is_fetched_from_the_store_until_it_expires(site, bucket, owner):
    wish = {"kind": "videos", "from": "2026-06-01", "to": "2026-06-28", "format": "csv"}
    job = owner.finished(owner.post("/api/reports", json=wish).headers["Location"])
    report = owner.get(job["links"]["report"]).json()
    file = site.http.get(report["url"], follow_redirects=True)
    assert file.headers["content-disposition"].startswith("attachment;")
    assert file.headers["content-type"].startswith("text/csv") and file.content
    with inside(site, bucket):
        Report.objects.filter(pk=report["id"]).update(expires_at=timezone.now())
        assert expiring.remove_expired() == 1
    assert not [name for name in bucket.files() if name.startswith("reports/")]


def test_files_that_no_row_names_are_swept_from_the_store(site, bucket, video, monkeypatch):
    monkeypatch.setattr(orphans, "GRACE", timedelta(0))
    monkeypatch.setattr(expiring, "BEING_MADE", timedelta(0))
    kept = bucket.files()
    with inside(site, bucket):
        for name in (f"videos/{uuid4()}/original", f"videos/{video['id']}/attempt/240p.mp4", "reports/a/sales.csv"):
            default_storage.save(name, ContentFile(b"nobody's"))
        assert (sum(orphans.remove_orphans()), expiring.remove_expired()) == (2, 1)
    assert bucket.files() == kept


def test_a_deleted_video_leaves_nothing_in_the_store(site, bucket, owner, video):
    assert owner.delete(f"/api/videos/{video['id']}").status_code == 204
    assert not bucket.files()
    with site.inside():
        assert not Video.objects.exists()
    assert site.http.get(video["mp4_url"], follow_redirects=True).status_code == 404
    assert site.http.get(video["playlist_url"]).status_code == 404
