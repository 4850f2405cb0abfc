"""An nginx in front that sends the media, by the configuration that comes with the project."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from files import serving
from reports.models import Report
from tests.client import Client, Visitor, new_email
from tests.nginx import LOCATION, nginx
from tests.stack import Stack, free_port
from tests.trial.tasks import nothing
from tests.waiting import wait_until
from videos.models import Rendition, Video

CONTENT = bytes(range(256)) * 100


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def site(make_module_stack, port: int) -> Stack:
    return make_module_stack(only=["web", "valkey"], X_ACCEL_LOCATION=LOCATION, SITE_URL=f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def front(site: Stack, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("nginx")
    with nginx(folder, port, site.port, site.folder / "media") as url, httpx.Client(base_url=url) as front:
        yield front


@pytest.fixture(scope="module")
def owner(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


@pytest.fixture(scope="module")
def film(site: Stack, owner: Client) -> Rendition:
    with site.inside():
        video = Video.objects.create(owner=owner.user, title="Harbour")
        name = f"{video.folder}/attempt/720p.mp4"
        put(site, name)
        return Rendition.objects.create(video=video, name="720p", width=1280, height=720, file=name)


def put(site: Stack, name: str) -> None:
    path = site.folder / "media" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)


def test_the_site_says_who_may_and_nginx_sends(site, front, owner, film):
    address = serving.address(film.file, owner.user.pk)
    asked = site.http.get(address)
    assert asked.content == b"", "the bytes do not go through the site"

    answer = front.get(address)
    assert answer.content == CONTENT
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("video/mp4", "nosniff")
    assert "private" in answer.headers["cache-control"]
    part = front.get(address, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])


def test_nobody_gets_around_the_site(front, owner, film):
    assert front.get(f"{LOCATION}{film.file.name}").status_code == 404
    assert front.get(serving.address(film.file, owner.user.pk)[:-9] + "../original").status_code == 404
    with httpx.Client(base_url=front.base_url, headers={"X-Accel-Redirect": f"{LOCATION}{film.file.name}"}) as forger:
        assert forger.get("/media/none/720p.mp4").status_code == 404


def test_what_is_for_the_disk_is_not_opened_on_our_site(site, front, owner):
    with site.inside():
        report = Report(owner=owner.user)
        report.file.name = "reports/of a week/sales.csv"
    put(site, report.file.name)
    answer = front.get(serving.address(report.file, owner.user.pk))
    assert answer.content == CONTENT
    assert answer.headers["content-disposition"] == 'attachment; filename="sales.csv"'


def test_what_arrived_of_an_upload_is_kept_when_the_line_breaks(front, owner):
    tus = {**owner.headers, "Tus-Resumable": "1.0.0"}
    upload = front.post("/api/uploads", headers={**tus, "Upload-Length": "10"}).headers["location"]
    with socket.create_connection((front.base_url.host, front.base_url.port)) as line:
        lines = [f"PATCH {upload} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {owner.token}"]
        lines += ["Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Length: 10"]
        lines += ["Content-Type: application/offset+octet-stream"]
        line.sendall("\r\n".join([*lines, "", "Hello"]).encode())
        wait_until(lambda: front.head(upload, headers=tus).headers["upload-offset"] == "5")


def test_news_pass_through_at_once(site, front, owner):
    with site.inside():
        job = nothing.enqueue(number=1, owner=owner.user)
    headers = {"Authorization": f"Bearer {owner.token}"}
    with (
        connect(f"ws://{front.base_url.netloc.decode()}/ws/jobs/", additional_headers=headers, proxy=None) as socket,
        front.stream("GET", f"/api/jobs/{job.pk}/events", headers=headers) as events,
    ):
        states = (json.loads(line[6:])["state"] for line in events.iter_lines() if line.startswith("data: "))
        assert json.loads(socket.recv(timeout=10))["jobs"][0]["state"] == next(states) == "queued"
        owner.post(f"/api/jobs/{job.pk}/cancel")
        assert json.loads(socket.recv(timeout=10))["job"]["state"] == next(states) == "cancelled"


def test_guessing_is_slowed_down_for_the_address_from_which_it_comes(site, front, owner):
    """Neither for all, as if everybody were nginx, nor for none, as if everybody were who they say."""
    Visitor(site, owner).close()  # gives the person a password
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=front.base_url, transport=elsewhere) as guesser:
        guesser.get("/login")
        form = {
            "username": owner.user.get_username(),
            "password": "a guess",
            "csrfmiddlewaretoken": guesser.cookies["csrftoken"],
        }
        for number in range(6):
            answer = guesser.post("/login", data=form, headers={"X-Forwarded-For": f"192.0.2.{number}"})
    assert answer.status_code == 429
    Visitor(site, owner).close()
