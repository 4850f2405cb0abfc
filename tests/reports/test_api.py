"""Reports over HTTP, as a program meets them on a running site."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from accounts.models import User
from jobs.models import Job, State
from reports import expiring, requesting
from reports.models import Report
from reports.period import Period
from tests.client import Client, Visitor, new_email
from tests.contract import checked_client, refused
from tests.stack import Stack

WISH = {"kind": "sales", "from": "2026-06-01", "to": "2026-06-28", "format": "csv"}


@pytest.fixture(scope="module")
def site(make_module_stack: Any) -> Stack:
    site = make_module_stack(only=["web", "worker-reports", "clock", "valkey"])
    site.manage("seed", "--orders", "500", "--until", "2026-06-28")
    return site


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


@pytest.fixture
def boss(site: Stack, client: Client) -> Client:
    """The same person, now on the staff."""
    with site.inside():
        User.objects.filter(pk=client.user.pk).update(is_staff=True)
    return client


def made(client: Client, **wish: str) -> dict[str, Any]:
    """The report, once it is there."""
    job = client.finished(client.post("/api/reports", json={**WISH, **wish}).headers["Location"])
    assert job["state"] == "succeeded", job
    return client.get(job["links"]["report"]).json()


def test_a_report_is_accepted_made_and_fetched(boss, site):
    answer = boss.post("/api/reports", json=WISH)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/jobs/{answer.json()['id']}")
    job = boss.finished(answer.headers["Location"])
    report = boss.get(job["links"]["report"]).json()
    assert (report["status"], report["from"], report["to"], report["everybody"]) == (
        "succeeded", "2026-06-01", "2026-06-28", True,
    )  # fmt: skip
    file = boss.get(report["url"])
    assert file.headers["content-disposition"] == 'attachment; filename="sales-2026-06-01-2026-06-28.csv"'
    assert len(file.content) == report["size"]
    assert file.text.startswith("by,of,Currency,Orders")
    expires = datetime.fromisoformat(report["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < expires <= timedelta(days=7)


@pytest.mark.parametrize("kind", ["sales", "jobs", "videos"])
@pytest.mark.parametrize(("format_", "begins"), [("xlsx", b"PK"), ("pdf", b"%PDF")])
def test_every_kind_comes_in_every_format(client, kind, format_, begins):
    assert client.get(made(client, kind=kind, format=format_)["url"]).content.startswith(begins)


def test_staff_get_every_order_and_anybody_else_their_own(site, client):
    assert client.get(made(client, detail="rows")["url"]).text.count("\n") == 1, "the header alone"
    with site.inside():
        User.objects.filter(pk=client.user.pk).update(is_staff=True)
    assert client.get(made(client, detail="rows")["url"]).text.count("\n") > 20


def test_who_is_staff_no_more_sees_the_figures_of_the_site_no_more(site, boss):
    report = made(boss)
    with site.inside():
        User.objects.filter(pk=boss.user.pk).update(is_staff=False)
    refused(boss.get(f"/api/reports/{report['id']}"), 404)
    assert boss.get("/api/reports").json() == []


def test_a_job_begun_for_staff_makes_nothing_for_who_is_staff_no_more(site, boss):
    site.stop("worker-reports")
    answer = boss.post("/api/reports", json=WISH)
    with site.inside():
        User.objects.filter(pk=boss.user.pk).update(is_staff=False)
    site.start_again("worker-reports")
    job = boss.finished(answer.headers["Location"])
    assert (job["state"], job["error"]["type"]) == ("dead", "NotAllowed")


def test_strangers_and_other_people_see_nothing(client, site):
    report = made(client)
    address = f"/api/reports/{report['id']}"
    refused(site.http.get(address), 401)
    refused(site.http.post("/api/reports", json=WISH), 401)
    assert site.http.get(address.removeprefix("/api")).status_code == 302
    with Client(site, new_email()) as other, closing(Visitor(site, other)) as visitor:
        refused(other.get(address), 404)
        assert other.get("/api/reports").json() == []
        assert other.get(report["url"]).status_code == 404
        assert visitor.get(report["url"]).status_code == 404
        page = address.removeprefix("/api")
        for path in (page, f"{page}/card"):
            assert visitor.get(path).status_code == 404
        for path in ("again", "cancel", "requeue"):
            assert visitor.post(f"{page}/{path}", headers={**visitor.csrf, "Referer": site.url}).status_code == 404


def test_the_same_idempotency_key_asks_once(client):
    key = {"Idempotency-Key": "of this report"}
    first, second = (client.post("/api/reports", json=WISH, headers=key) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert len(client.get("/api/reports").json()) == 1
    refused(client.post("/api/reports", json={**WISH, "format": "pdf"}, headers=key), 422)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"to": "2026-05-31"}, "The last day is before the first."),
        ({"from": "1999-12-31"}, "Choose a later first day."),
        ({"from": "2020-01-01"}, "five years"),
        ({"to": "2999-01-01"}, "has not begun yet"),
        ({"from": "yesterday"}, "from"),
        ({"from": None}, "from"),
        ({"kind": "secrets"}, "kind"),
        ({"format": "docx"}, "format"),
        ({"format": "pdf", "detail": "rows"}, "Every order can be had of sales, as CSV."),
        ({"kind": "jobs", "detail": "rows"}, "Every order can be had of sales, as CSV."),
    ],
)
def test_what_cannot_be_reported_is_refused(client, change, told):
    assert told in refused(client.post("/api/reports", json={**WISH, **change}), 422)
    assert client.get("/api/reports").json() == []


def test_one_person_has_so_many_made_at_once_and_no_more(client, site):
    site.stop("worker-reports")
    for _ in range(requesting.MOST_AT_ONCE):
        assert client.post("/api/reports", json=WISH).status_code == 202
    assert "Wait until one of them is there." in refused(client.post("/api/reports", json=WISH), 409)
    with site.inside():
        Job.objects.filter(owner=client.user.pk).cancel()
    site.start_again("worker-reports")
    assert client.post("/api/reports", json=WISH).status_code == 202


def test_the_list_has_pages(client, site):
    with site.inside():
        for number in range(53):
            report = requesting.ask(client.user, "sales", Period(date(2026, 6, 1), date(2026, 6, 1)), "csv")
            Job.objects.filter(pk=report.job_id).update(state=State.CANCELLED)
            Report.objects.filter(pk=report.pk).update(created_at=timezone.now() - timedelta(minutes=number))
    first = client.get("/api/reports")
    second = client.get(first.links["next"]["url"])
    assert (len(first.json()), len(second.json()), second.links) == (50, 3, {})
    assert len({one["id"] for one in first.json() + second.json()}) == 53
    refused(client.get("/api/reports?limit=0"), 422)


def test_an_expired_report_says_so_its_file_is_gone_and_it_can_be_asked_for_again(client, site):
    report = made(client)
    with site.inside():
        Report.objects.filter(pk=report["id"]).update(expires_at=timezone.now())
    expired = client.get(f"/api/reports/{report['id']}").json()
    assert (expired["status"], expired["url"]) == ("expired", None)
    with site.inside(), override_settings(MEDIA_ROOT=site.folder / "media"):
        assert expiring.remove_expired() == 1
        assert expiring.remove_expired() == 0
    assert client.get(report["url"]).status_code == 404
    with closing(Visitor(site, client)) as visitor:
        again = f"{site.url}/reports/{report['id']}/again"
        assert visitor.post(again, headers={**visitor.csrf, "Referer": site.url}).status_code == 302
    assert len(client.get("/api/reports").json()) == 2
