"""The page of reports in a real browser: asked for, watched and fetched without a reload."""

import re
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from reports.models import Report
from tests.browser import log_in, screenshots
from tests.client import new_email
from tests.stack import Stack

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(make_module_stack: Any) -> Stack:
    site = make_module_stack(database="sqlite", only=["web", "worker-reports", "clock", "valkey"])
    site.manage("seed", "--orders", "3000")
    return site


@pytest.fixture
def email(page: Page, site: Stack) -> str:
    """Of the member of staff who is logged in on the page."""
    email = new_email()
    with site.inside():
        User.objects.create_user(email, "secret", is_staff=True)
    log_in(page, site.url, email, "secret")
    page.goto(f"{site.url}/reports/")
    return email


def ask(page: Page, about: str = "Sales", format_: str = "PDF") -> None:
    page.get_by_label("About").select_option(about)
    page.get_by_label("Format").select_option(format_)
    page.get_by_role("button", name="Make the report").click()


def test_a_report_is_asked_for_watched_and_fetched(page: Page, site: Stack, email: str) -> None:
    site.stop("worker-reports")
    ask(page)
    card = page.get_by_role("article", name=re.compile("Sales"))
    expect(card.get_by_text("Queued")).to_be_visible()
    page.evaluate("window.notReloaded = true")
    screenshots(page, "reports-queued")
    site.start_again("worker-reports")
    expect(card.get_by_text("Ready")).to_be_visible(timeout=30_000)
    assert page.evaluate("window.notReloaded")
    ask(page, "Jobs", "CSV")
    expect(page.get_by_role("article", name=re.compile("Jobs")).get_by_text("Ready")).to_be_visible(timeout=30_000)
    screenshots(page, "reports")
    with page.expect_download() as download:
        card.get_by_role("link", name="Download").click()
    assert re.fullmatch(r"sales-[\d-]+\.pdf", download.value.suggested_filename)
    assert download.value.path().read_bytes().startswith(b"%PDF")
    card.get_by_role("link", name=re.compile("Sales")).first.click()
    expect(page.get_by_role("heading", level=1, name=re.compile("Sales"))).to_be_visible()
    screenshots(page, "report")


def test_the_figures_can_be_looked_at_first(page: Page, email: str) -> None:
    chart = page.get_by_role("img", name=re.compile("Net revenue by day, EUR"))
    expect(chart).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row")).to_have_count(31)
    page.get_by_label("About").select_option("Jobs")
    page.get_by_role("button", name="Look at the figures").click()
    expect(page.get_by_role("img", name=re.compile("Jobs finished by day"))).to_be_visible()
    expect(page.get_by_label("About")).to_have_value("jobs")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_wrong_is_said_and_nothing_is_lost(page: Page, email: str) -> None:
    page.get_by_label("From").fill("2026-06-10")
    page.get_by_label("To", exact=True).fill("2026-06-01")
    ask(page, "Videos", "CSV")
    expect(page.get_by_role("alert")).to_have_text(re.compile("The last day is before the first."))
    expect(page.get_by_label("From")).to_have_value("2026-06-10")
    expect(page.get_by_label("About")).to_have_value("videos")
    screenshots(page, "reports-refused")


def test_an_expired_report_can_be_asked_for_again_without_javascript(
    browser: Browser, page: Page, site: Stack, email: str
) -> None:
    ask(page, "Videos", "CSV")
    expect(page.get_by_role("article").get_by_text("Ready")).to_be_visible(timeout=30_000)
    with site.inside():
        Report.objects.filter(owner__email=email).update(expires_at=timezone.now())
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    plain = context.new_page()
    plain.goto(f"{site.url}/reports/")
    expect(plain.get_by_text("Its file has been removed.")).to_be_visible()
    plain.get_by_role("button", name="Ask again").focus()
    plain.keyboard.press("Enter")
    expect(plain.get_by_role("article")).to_have_count(2)
    context.close()
    page.reload()
    expect(page.get_by_role("article").first.get_by_text("Ready")).to_be_visible(timeout=30_000)
    screenshots(page, "reports-expired")
