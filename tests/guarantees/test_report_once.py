"""A report whose worker is killed is made by another, once, and no file is left over."""

import os
import signal
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from accounts.models import User
from jobs.models import Job, State
from reports import expiring, requesting
from reports.models import Report
from reports.period import Period
from reports.tasks import report_sales_of_the_night
from tests.client import new_email
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

ORDERS = 200_000 if os.environ.get("CHAOS") == "long" else 30_000
KILLS = 10 if os.environ.get("CHAOS") == "long" else 2


@pytest.fixture
def site(make_stack: Any) -> Stack:
    site = make_stack(only=["worker-reports", "clock", "valkey"], JOB_LEASE_SECONDS="2")
    site.manage("seed", "--orders", str(ORDERS))
    return site


def state_of(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def files(site: Stack) -> list[str]:
    return sorted(path.name for path in site.files("media"))


def test_reports_whose_worker_is_killed_in_the_middle_have_one_file_each(site: Stack) -> None:
    with site.inside():
        boss = User.objects.create_user(new_email(), is_staff=True)
        last = timezone.now().date()
        year = Period(last - timedelta(days=400), last)
        reports = [requesting.ask(boss, "sales", year, "csv", "rows") for _ in range(2)]
        Job.objects.update(max_attempts=100)
        night = report_sales_of_the_night.enqueue(slot=f"{last}T02:00:00+00:00")
        jobs = [*(report.job for report in reports), night]
        for _ in range(KILLS):
            wait_until(lambda: any(state_of(job) == State.RUNNING for job in jobs), timeout=30, every=0.01)
            [worker] = site.children("worker-reports")
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: any(state_of(job) == State.RETRYING or job.errors for job in jobs), timeout=30)
        wait_until(lambda: {state_of(job) for job in jobs} == {State.SUCCEEDED}, timeout=120)
        assert any(job.errors for job in jobs), "none was killed"
        days = "-".join(year.days_named)
        night_files = [f"sales-{last - timedelta(days=1)}.{one}" for one in ("csv", "pdf", "xlsx")]
        assert sorted(files(site)) == sorted([f"sales-orders-{days}.csv"] * 2 + night_files)
        assert Report.objects.exclude(file="").count() == 5
        assert Job.objects.filter(task="mail.send_message").count() == 1, "a mail for each member of staff"
        assert not [path for path in site.files("work") if path.suffix == ".csv"], (
            "the attempt that was killed left files"
        )
        with override_settings(MEDIA_ROOT=site.folder / "media"):
            assert expiring.remove_expired() == 0
