"""The nightly report, and what becomes of old files: in this process, one attempt after the other."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from accounts.models import User
from config.schedule import SCHEDULE
from jobs.models import Job, State
from jobs.worker import work
from reports import expiring
from reports.models import Report
from reports.tasks import remove_expired, report_sales_of_the_night

pytestmark = pytest.mark.django_db(transaction=True)

SLOT = "2026-06-11T02:00:00+00:00"


@pytest.fixture(autouse=True)
def media(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def run(job: Job) -> str:
    work([str(job.pk)], job.queue)
    job.refresh_from_db()
    return job.state


def night(slot: str = SLOT, **launch) -> Job:
    job = report_sales_of_the_night.enqueue(slot=slot, **launch)
    assert run(job) == State.SUCCEEDED, job.errors
    return job


def send_mails() -> None:
    for job in Job.objects.filter(task="mail.send_message").waiting():
        assert run(job) == State.SUCCEEDED, job.errors


def test_the_clock_is_told_to_report_every_night():
    entry = SCHEDULE["report sales"]
    assert entry.task == report_sales_of_the_night.name
    assert (entry.when._orig_hour, entry.when._orig_minute) == ("2", "0")
    assert SCHEDULE["remove expired reports"].task == remove_expired.name


def test_staff_are_mailed_the_day_that_is_over_with_a_csv(sell, staff, buyer):
    other = User.objects.create_user("boss@example.com", is_staff=True)
    User.objects.create_user("gone@example.com", is_staff=True, is_active=False)
    sell("2026-06-10 00:00", amount=4900)
    sell("2026-06-10 23:59", amount=100, product="Ear plugs")
    sell("2026-06-11 00:00", amount=777)
    sell("2026-06-09 12:00", amount=2500)
    night()
    send_mails()
    assert sorted(message.to[0] for message in mail.outbox) == [other.email, staff.email]
    message = mail.outbox[0]
    assert message.subject == "Sales of 10 June 2026: 50.00 EUR"
    assert "Net revenue: 50.00 EUR (+100.0 % to the day before)" in message.body
    assert "Night lamp: 49.00 EUR" in message.body
    [(name, content, kind)] = message.attachments
    assert (name, kind) == ("sales-2026-06-10.csv", "text/csv")
    assert "product,Night lamp,EUR,1,1,1,49.00,0.00,49.00" in content
    for report in Report.objects.exclude(format="csv"):
        assert report.get_absolute_url() in message.body


def test_each_day_is_reported_once_whatever_is_run_again(sell, staff):
    sell("2026-06-10")
    night(key="one")
    night(key="another")
    night("2026-06-11T04:30:00+02:00")
    send_mails()
    assert Report.objects.count() == 3, "one of each format"
    assert len(mail.outbox) == 1
    night("2026-06-12T02:00:00+00:00")
    send_mails()
    assert (Report.objects.count(), len(mail.outbox)) == (6, 2)


def test_a_night_without_orders_is_reported_too(staff):
    night()
    send_mails()
    assert mail.outbox[0].subject == "Sales of 10 June 2026: 0.00 EUR"


def test_all_staff_may_fetch_it_and_nobody_else(staff, buyer):
    night()
    report = Report.objects.get(format="pdf")
    for user, status in ((staff, 200), (buyer, 404)):
        browser = Client()
        browser.force_login(user)
        assert browser.get(report.get_absolute_url()).status_code == status
        assert (f"/reports/{report.pk}" in browser.get("/reports/").content.decode()) == (status == 200)


def test_an_attempt_that_fails_in_its_last_step_leaves_no_file_and_no_row(staff, media, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr("reports.nightly.told", fail)
        job = report_sales_of_the_night.enqueue(slot=SLOT)
        assert run(job) == State.RETRYING
    assert not [path for path in media.rglob("*") if path.is_file()]
    assert not Report.objects.exists()
    Job.objects.update(run_at=job.created_at)
    assert run(job) == State.SUCCEEDED
    assert len([path for path in media.rglob("*") if path.is_file()]) == 3


def test_old_files_are_removed_and_their_reports_say_so(staff, media):
    night()
    kept, *old = Report.objects.all()
    past = datetime.now(UTC) - timedelta(seconds=1)
    Report.objects.exclude(pk=kept.pk).update(expires_at=past)
    assert run(remove_expired.enqueue()) == State.SUCCEEDED
    assert [path.name for path in media.rglob("*") if path.is_file()] == [kept.file_name]
    for report in old:
        report.refresh_from_db()
        assert (report.status, report.file.name) == ("expired", "")


def test_files_of_no_report_are_removed_once_they_can_be_nobodys(media, staff):
    night()
    names = [default_storage.save(f"reports/attempt-{age}/sales.csv", ContentFile(b"x")) for age in ("old", "new")]
    long_ago = (datetime.now(UTC) - expiring.BEING_MADE - timedelta(minutes=1)).timestamp()
    for path in [*media.glob("reports/*/*.pdf"), media / names[0]]:
        os.utime(path, (long_ago, long_ago))
    assert expiring.remove_expired() == 1
    assert not (media / names[0]).parent.exists()
    assert (media / names[1]).exists()
    assert len(list(media.glob("reports/*/sales-2026-06-10.*"))) == 3


def test_a_report_goes_with_its_job(staff):
    night()
    Job.objects.all().delete()
    assert not Report.objects.exists()
