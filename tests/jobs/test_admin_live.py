"""The operators' pages in a browser: they move while jobs move."""

import pytest
from playwright.sync_api import Page, expect

from jobs.models import Job, State
from tests.browser import log_in, screenshots
from tests.trial.tasks import fail, long, record

pytestmark = pytest.mark.browser


@pytest.fixture
def site(make_stack, page: Page):
    site = make_stack(only=["web", "valkey"])
    site.manage("demo_users")
    log_in(page, site.url, "admin@example.com", "admin")
    return site


def test_the_list_moves_and_keeps_what_was_ticked(site, page: Page):
    with site.inside():
        first = record.enqueue(number=1)
    page.goto(f"{site.url}/admin/jobs/job/")
    page.get_by_label(f"Select {first}").check()
    expect(page.get_by_role("button", name="Cancel 1…")).to_be_visible()
    with site.inside():
        second = long.enqueue(number=2)
        Job.objects.filter(pk=second.pk).start("worker-1:7")
        Job.objects.filter(pk=second.pk).change(progress=0.4, note="Halfway, nearly")
    row = page.get_by_role("row").filter(has=page.locator(f"#job-{second.pk}"))
    expect(row).to_contain_text("Running")
    assert row.get_by_role("progressbar").get_attribute("value") == "0.400"
    expect(page.get_by_label(f"Select {first}")).to_be_checked()
    screenshots(page, "admin-jobs")

    page.get_by_role("button", name="Live").click()
    with site.inside():
        third = record.enqueue(number=3)
    page.wait_for_timeout(2500)  # nothing is to happen, so there is nothing to wait for
    expect(page.locator(f"#job-{third.pk}")).to_have_count(0)
    page.get_by_role("button", name="Live").click()
    expect(page.locator(f"#job-{third.pk}")).to_be_visible()


def test_the_page_of_a_job_moves_and_keeps_an_open_traceback(site, page: Page):
    with site.inside():
        job = fail.enqueue(message="disk 7 is full")
        [job] = Job.objects.filter(pk=job.pk).start("worker-1:7")
        job.retry(ValueError("disk 7 is full"), "Sorry.", fail.delay_after(1, ValueError()))
    page.goto(f"{site.url}/admin/jobs/job/{job.pk}/change/")
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_text("ValueError: disk 7 is full").last).to_be_visible()
    with site.inside():
        Job.objects.filter(pk=job.pk).cancel()
    expect(page.locator(".standing")).to_contain_text("Cancelled")
    expect(page.locator("details[open]")).to_have_count(1)
    screenshots(page, "admin-job")
    page.get_by_role("button", name="Requeue", exact=True).click()
    expect(page.get_by_text("Requeued.")).to_be_visible()
    with site.inside():
        assert Job.objects.get(pk=job.pk).state == State.QUEUED


def test_all_that_match_are_moved_from_the_list(site, page: Page):
    with site.inside():
        for number in range(3):
            job = fail.enqueue(message=f"card {number} was declined")
            [job] = Job.objects.filter(pk=job.pk).start("worker-1:7")
            job.bury(ValueError(f"card {number} was declined"), "Sorry.")
    page.goto(f"{site.url}/admin/jobs/job/dead/")
    screenshots(page, "admin-dead-letters")
    page.get_by_role("link", name="Requeue all…").click()
    screenshots(page, "admin-requeue-all")
    page.get_by_role("button", name="Requeue 3").click()
    expect(page.get_by_role("heading", name="jobs.bulk_move")).to_be_visible()
    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_text("requeue all")).to_be_visible()
