"""Signing up, choosing a new password and logging out in a real browser, with the mails that belong to it."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import log_in, screenshots
from tests.client import PASSWORD, new_email
from tests.stack import Stack

pytestmark = pytest.mark.browser

NEW = "another password of the tests"


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web", "worker-mail", "worker-urgent", "clock", "valkey"])


@pytest.fixture
def ann(page: Page, site: Stack) -> str:
    """Somebody who has just signed up on this page."""
    email = new_email()
    page.goto(f"{site.url}/login")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("Mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    return email


def mail_to(page: Page, email: str, subject: str) -> None:
    """Open the inbox, and the mail once it appears there by itself."""
    page.get_by_role("link", name="Inbox").first.click()
    row = page.get_by_role("listitem").filter(has_text=email).filter(has_text=subject)
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name=subject)).to_be_visible()


def test_whoever_signs_up_finds_a_welcome_in_the_inbox(page: Page, site: Stack, ann: str) -> None:
    mail_to(page, ann, "Welcome to Nightshift")

    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Welcome to Nightshift.")).to_be_visible()
    screenshots(page, "mail-welcome")
    page.get_by_text("As text").click()
    expect(page.get_by_text("Your account is ready. Hand over the slow work").last).to_be_visible()
    page.get_by_text("Headers").click()
    expect(page.get_by_text(re.compile(r"^<[0-9a-f-]{36}@127.0.0.1>$"))).to_be_visible()

    frame.get_by_role("link", name="Go to your library").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()


def test_a_new_password_is_chosen_by_the_link_in_the_mail(page: Page, site: Stack, ann: str) -> None:
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Lost your password?").click()
    page.get_by_label("Mail address").fill(ann.upper())
    page.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("heading", name="Look into your mail.")).to_be_visible()
    screenshots(page, "link-sent")
    mail_to(page, ann, "Choose a new password")
    screenshots(page, "mail-reset")

    page.frame_locator("iframe").get_by_role("link", name="Choose a new password").click()
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password confirmation").fill(NEW)
    screenshots(page, "new-password")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("Your new password is set. Log in with it.")).to_be_visible()

    log_in(page, site.url, ann, NEW)
    expect(page.get_by_role("heading", name="Library")).to_be_visible()


def test_mails_come_into_an_open_inbox_by_themselves(page: Page, site: Stack, browser: Browser) -> None:
    page.goto(f"{site.url}/inbox/")
    email = new_email()
    other = browser.new_context().new_page()
    other.goto(f"{site.url}/signup")
    other.get_by_label("Mail address").fill(email)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("listitem").filter(has_text=email)).to_be_visible()
    other.context.close()
    screenshots(page, "inbox")


def test_what_is_wrong_is_said_where_it_is_wrong(page: Page, site: Stack, ann: str) -> None:
    page.get_by_role("button", name="Log out").click()
    screenshots(page, "login")
    page.goto(f"{site.url}/signup")
    page.get_by_label("Mail address").fill(ann)
    page.get_by_label("Password").fill("password")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_label("Mail address")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("This address has an account.")).to_be_visible()
    screenshots(page, "signup-wrong")
    page.get_by_role("link", name="choose a new password").click()
    expect(page.get_by_role("heading", name="Lost your password?")).to_be_visible()


def test_a_token_is_made_shown_and_revoked(page: Page, site: Stack, ann: str) -> None:
    page.get_by_role("link", name=ann).click()
    page.get_by_label("What is it for?").fill("backup script")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_text(re.compile("^nightshift_"))).to_be_visible()
    screenshots(page, "account")

    page.get_by_role("link", name=ann).click()
    expect(page.get_by_text(re.compile("^nightshift_"))).to_have_count(0)
    page.get_by_text("Revoke", exact=True).click()
    page.get_by_role("button", name="Revoke this token").click()
    expect(page.get_by_text("The token “backup script” does not work any more.")).to_be_visible()


def test_guessing_is_answered_with_how_long_to_wait(page: Page, site: Stack, ann: str) -> None:
    page.get_by_role("button", name="Log out").click()
    for _ in range(5):
        page.get_by_label("Mail address").fill(ann)
        page.get_by_label("Password").fill("a guess")
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="That was too many tries.")).to_be_visible()
    screenshots(page, "too-many")


def test_logging_out_in_one_tab_is_seen_in_the_other(page: Page, site: Stack, ann: str) -> None:
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{site.url}/account")
    other.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out. Reload the page to log in.")).to_be_visible(timeout=3000)
