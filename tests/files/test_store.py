"""Media in an object store: a site whose web server and workers share no disk, and a store that checks signatures."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import override_settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from config import parts
from config.processes import Processes, procfile
from jobs.models import Job, State
from reports import expiring
from reports.models import Report
from tests.browser import ROOT, log_in
from tests.client import PASSWORD, Client, new_email
from tests.contract import checked_client, refused
from tests.media import clip
from tests.objectstore import ObjectStore, object_store
from tests.stack import Stack
from tests.waiting import wait_until
from videos import multipart, orphans
from videos.models import Upload, Video

MB = 1024 * 1024
PART = 5 * MB  # the least that S3 takes, but for the last


@pytest.fixture(scope="module")
def bucket() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def site(make_module_stack: Callable[..., Stack], bucket: ObjectStore, machine: Path) -> Iterator[Stack]:
    """Its workers are on another machine: they have another disk."""
    limits = {"UPLOAD_PART_BYTES": str(PART), "MAX_OPEN_UPLOADS": "3", "CHUNK_SECONDS": "2"}
    site = make_module_stack(only=["web", "valkey"], **bucket.env, **limits)
    there = {"DATA_DIR": str(machine), "REDIS_URL": f"unix://{parts.valkey_socket(site.folder)}"}
    lines = {name: procfile(ROOT / "Procfile")[name] for name in ("worker-media", "worker-reports")}
    workers = Processes(lines, {**site.env, **there}, site._output)
    workers.start()
    wait_until(lambda: all(map(site.worker_ready, lines)), timeout=60)
    yield site
    workers.stop()


@pytest.fixture(scope="module")
def owner(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of film, in a file of more than one part: players skip what a box `free` holds."""
    made = clip(tmp_path_factory.mktemp("films"), seconds=1, size="320x240")
    film = made.rename(made.with_name("Harbour_at_four.mp4"))
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


def test_what_is_uploaded_and_made_lies_in_the_store_and_nowhere_else(site, machine, bucket, video, film):
    files = {name: size for name, size in bucket.files().items() if str(video["id"]) in name}
    assert files[f"videos/{video['id']}/original"] == film.stat().st_size
    assert {"master.m3u8", "video.mp4", "poster.jpg", "storyboard.vtt"} <= {name.split("/")[-1] for name in files}
    wait_until(lambda: not left_on(site.folder) and not left_on(machine))


def left_on(disk: Path) -> list[Path]:
    """The files that lie there. By os.walk(), as folders may go while it looks."""
    places = [disk / folder for folder in ("media", "work", "uploads")]
    return [Path(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]


def test_a_long_video_is_made_in_parts_that_are_handed_over_by_the_store(site, machine, bucket, owner, tmp_path):
    job = owner.upload(clip(tmp_path, seconds=7, size="320x240")).json()
    with site.inside():
        wait_until(lambda: Job.objects.filter(parent=job["id"], state=State.SUCCEEDED).exists(), timeout=60)
    assert owner.finished(job["links"]["self"], timeout=120)["state"] == "succeeded"
    with site.inside():
        assert Job.objects.filter(parent=job["id"]).count() == 5, "four chunks and the sound"
    wait_until(lambda: not [name for name in bucket.files() if name.startswith("parts/")] and not left_on(machine))
    assert owner.delete(job["links"]["video"]).status_code == 204


def test_players_read_playlists_here_and_are_led_to_the_store_for_the_rest(site, bucket, owner, video):
    playlist = site.http.get(video["playlist_url"])
    assert (playlist.status_code, playlist.headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert playlist.text.startswith("#EXTM3U")
    led = site.http.get(video["mp4_url"])
    assert led.status_code == 302
    assert led.headers["location"].startswith(bucket.env["AWS_S3_ENDPOINT_URL"])
    private, _, seconds = led.headers["cache-control"].partition(", max-age=")
    lasts = int(dict(pair.split("=") for pair in led.headers["location"].split("?")[1].split("&"))["X-Amz-Expires"])
    assert private == "private" and int(seconds) < lasts <= 3600
    part = site.http.get(video["mp4_url"], headers={"Range": "bytes=4-7"}, follow_redirects=True)
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"ftyp", "video/mp4")
    assert site.http.head(video["mp4_url"], follow_redirects=True).status_code == 200
    stolen = led.headers["location"].replace("/video.mp4?", "/poster.jpg?")
    assert site.http.get(stolen).status_code == 403, "the store checks what was signed"


def test_another_user_is_led_nowhere(site, video):
    with Client(site, new_email()) as stranger:
        assert stranger.get(video["mp4_url"]).status_code == 404
        assert stranger.get(video["playlist_url"]).status_code == 404


def test_whoever_has_the_link_is_led_for_minutes_and_only_while_it_is_there(site, owner, video):
    shared = owner.patch(f"/api/videos/{video['id']}", json={"visibility": "unlisted"}).json()
    found = re.findall(r'"(/media/[^"]+)"', site.http.get(shared["share_url"]).text)
    files = {address.rpartition("/")[2]: address for address in found}
    answers = {name: site.http.get(files[name]) for name in ("video.mp4", "master.m3u8")}
    assert {name: answer.status_code for name, answer in answers.items()} == {"video.mp4": 302, "master.m3u8": 200}
    assert {answer.headers["cache-control"] for answer in answers.values()} == {"private, no-cache"}
    assert "X-Amz-Expires=300&" in answers["video.mp4"].headers["location"]
    assert site.http.get(files["video.mp4"], follow_redirects=True).status_code == 200

    owner.patch(f"/api/videos/{video['id']}", json={"visibility": "private"}).raise_for_status()

    assert {site.http.get(address).status_code for address in files.values()} == {404}


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


def test_what_comes_by_tus_ends_in_the_store(site, bucket, owner):
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Content-Type": "application/offset+octet-stream"}
    upload = owner.post("/api/uploads", headers=headers, content=b"hello")
    video = upload.headers["location"].rpartition("/")[2]
    assert bucket.files()[f"videos/{video}/original"] == 5
    assert not list((site.folder / "uploads" / "resumable").iterdir())
    assert owner.delete(f"/api/videos/{video}").status_code == 204


def test_a_deleted_video_leaves_nothing_in_the_store(site, bucket, owner, video):
    assert owner.delete(f"/api/videos/{video['id']}").status_code == 204
    assert not bucket.files()
    with site.inside():
        assert not Video.objects.exists()
    assert site.http.get(video["mp4_url"], follow_redirects=True).status_code == 404
    assert site.http.get(video["playlist_url"]).status_code == 404


# --- uploads that go straight there ---


@pytest.fixture
def sender(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


def begin(sender: Client, size: int = PART + 100, **said: object) -> str:
    """The address of a new upload."""
    begun = sender.post("/api/uploads/multipart", json={"size": size, "filename": "Harbour_at_four.mp4", **said})
    assert (begun.status_code, begun.json()["part_size"], begun.json()["arrived"]) == (201, PART, [])
    return f"/api/uploads/multipart/{begun.json()['id']}"


def put(sender: Client, upload: str, number: int, content: bytes) -> int:
    return httpx.put(sender.post(f"{upload}/parts/{number}").json()["url"], content=content, timeout=60).status_code


def test_an_upload_in_parts_becomes_one_video_once_all_of_it_is_there(site, bucket, sender):
    upload = begin(sender)
    assert put(sender, upload, 1, b"x" * (PART - 1)) == 403, "the size is signed"
    assert refused(sender.post(f"{upload}/complete"), 409).startswith("0 of 2 parts")
    assert put(sender, upload, 2, b"x" * 100) == 200
    assert sender.get(upload).json()["arrived"] == [2]
    assert refused(sender.post(f"{upload}/complete"), 409).startswith("1 of 2 parts")
    refused(sender.post(f"{upload}/parts/3"), 404)
    assert put(sender, upload, 1, b"x" * PART) == 200

    first, again = sender.post(f"{upload}/complete"), sender.post(f"{upload}/complete")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    [video] = sender.get("/api/videos").json()
    assert (upload.rpartition("/")[2], video["title"]) == (video["id"], "Harbour at four")
    assert bucket.files()[f"videos/{video['id']}/original"] == PART + 100
    assert (sender.get(upload).json()["arrived"], bucket.begun()) == ([1, 2], [])
    refused(sender.post(f"{upload}/parts/1"), 404)
    assert sender.delete(upload).status_code == 204
    wait_until(lambda: not bucket.files())


def test_a_file_sent_in_parts_takes_the_place_of_a_videos_and_the_former_leaves_the_store(site, bucket, sender, film):
    content = film.read_bytes()
    assert sender.finished(sender.upload(film).headers["Location"], timeout=120)["state"] == "succeeded"
    [before] = sender.get("/api/videos").json()
    old = {name for name in bucket.files() if before["id"] in name}
    with checked_client(site) as stranger:
        wish = {"size": 3, "replaces": before["id"]}
        assert "no such video" in refused(stranger.post("/api/uploads/multipart", json=wish), 404)
    upload = begin(sender, size=len(content), replaces=before["id"])
    assert put(sender, upload, 1, content[:PART]) == put(sender, upload, 2, content[PART:]) == 200
    job = sender.finished(sender.post(f"{upload}/complete").headers["Location"], timeout=120)
    assert (job["state"], job["links"]["video"]) == ("succeeded", f"/api/videos/{before['id']}")
    [after] = sender.get("/api/videos").json()
    assert (after["id"], after["mp4_url"] == before["mp4_url"]) == (before["id"], False)
    wait_until(lambda: old.isdisjoint(bucket.files()))
    assert f"videos/{before['id']}/original-{upload.rpartition('/')[2]}" in bucket.files()
    assert site.http.get(after["mp4_url"], follow_redirects=True).status_code == 200
    assert sender.delete(f"/api/videos/{before['id']}").status_code == 204
    wait_until(lambda: not bucket.files())


def test_the_uploads_of_others_are_not_there(site, sender):
    upload = begin(sender)
    with checked_client(site) as stranger:
        for answer in (
            stranger.get(upload),
            stranger.post(f"{upload}/parts/1"),
            stranger.post(f"{upload}/complete"),
            stranger.delete(upload),
        ):
            refused(answer, 404)
    assert sender.delete(upload).status_code == 204
    refused(sender.get(upload), 404)


def test_limits_hold_when_an_upload_is_announced_and_a_refused_one_leaves_nothing(bucket, sender):
    refused(sender.post("/api/uploads/multipart", json={"size": 0}), 422)
    assert "too large" in refused(sender.post("/api/uploads/multipart", json={"size": 2**40}), 413)
    uploads = [begin(sender) for _ in range(3)]
    assert "too many" in refused(sender.post("/api/uploads/multipart", json={"size": 5}), 429)
    assert len(bucket.begun()) == 3
    for upload in uploads:
        sender.delete(upload)
    assert not bucket.begun()


def test_the_hourly_clean_up_gives_up_what_is_abandoned_and_finishes_what_is_all_there(
    site, bucket, sender, monkeypatch
):
    monkeypatch.setattr(multipart, "STRAY", timedelta(0))
    alive, expired, whole = (begin(sender, size=3) for _ in range(3))
    bucket.client.create_multipart_upload(Bucket=bucket.bucket, Key="videos/killed/720p.mp4")
    with inside(site, bucket):
        Upload.objects.filter(pk=expired.rpartition("/")[2]).update(expires_at=timezone.now())
        assert put(sender, whole, 1, b"abc") == 200
        multipart.complete(Upload.objects.get(pk=whole.rpartition("/")[2]))  # and there the web server was killed

        assert multipart.tidy() == 1

    assert [one["Key"].split("/")[1] for one in bucket.begun()] == [alive.rpartition("/")[2]]
    [video] = sender.get("/api/videos").json()
    assert video["id"] == whole.rpartition("/")[2]
    for upload in (alive, whole):
        assert sender.delete(upload).status_code == 204
    assert (bucket.files(), bucket.begun()) == ({}, [])


@pytest.mark.browser
def test_the_page_sends_to_the_store_goes_on_after_a_reload_plays_from_there_and_replaces(
    site, bucket, page: Page, film, tmp_path
):
    with site.inside():
        from accounts.models import User

        User.objects.create_user(email := new_email(), PASSWORD)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "PUT" else None)
    page.on("dialog", lambda dialog: dialog.accept())
    log_in(page, site.url, email, PASSWORD)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2 * MB}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    choose = page.get_by_label(re.compile("choose", re.I))
    choose.set_input_files(film)  # of two parts
    row = page.get_by_role("listitem").filter(has_text=film.name)
    expect(row).to_contain_text(re.compile(r"MB of .*, .*/s"))
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused at")
    page.route("**partNumber=2**", lambda route: None)  # is never answered
    with page.expect_request(re.compile("partNumber=2"), timeout=60_000):
        row.get_by_role("button", name="Resume").click()

    page.reload()

    page.unroute("**partNumber=2**")

    expect(row).to_contain_text("Choose the same file to go on")
    expect(row.get_by_role("progressbar")).to_be_hidden()  # how much is there only the store knows
    with page.expect_file_chooser() as chooser:
        row.get_by_role("button", name="Resume").click()
    before = len(sent)
    chooser.value.set_files(film)
    expect(row).to_have_count(0, timeout=60_000)
    assert [re.search(r"partNumber=(\d)", url)[1] for url in sent[before:]] == ["2"]
    assert all(url.startswith(bucket.env["AWS_S3_ENDPOINT_URL"]) for url in sent)
    card = page.get_by_role("article")
    wait_until(lambda: page.reload() and card.get_attribute("data-state") == "succeeded", timeout=60, every=1)
    fetched: list[str] = []
    page.on("response", lambda response: fetched.append(response.url))
    card.get_by_role("button", name="Play").click()
    wait_until(lambda: card.locator("video").evaluate("video => video.currentTime") > 0.2)
    assert [url for url in fetched if url.startswith(bucket.env["AWS_S3_ENDPOINT_URL"]) and ".mp4?" in url]

    page.goto(site.url + str(card.get_attribute("data-page")))
    first = str(card.get_attribute("data-job"))
    choose.set_input_files(clip(tmp_path, seconds=2, size="320x240"))
    expect(card).not_to_have_attribute("data-job", first, timeout=60_000)
    wait_until(lambda: page.reload() and card.get_attribute("data-state") == "succeeded", timeout=60, every=1)
    expect(card).to_contain_text("0:02")
