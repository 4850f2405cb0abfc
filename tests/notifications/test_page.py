"""The bell, the choices and the webhooks in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from notifications import choices
from notifications.models import Channel, Event
from tests.browser import DESKTOP, PHONE, SCREENSHOTS, log_in, screenshots
from tests.client import PASSWORD, new_email
from tests.notifications.receiver import Receiver
from tests.stack import Stack
from tests.trial.tasks import make_thing
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    only = ["web", "worker-quick", "worker-webhooks", "clock", "valkey"]
    return make_module_stack(only=only, WEBHOOKS_TO_LOOPBACK="1", WEBHOOK_TIMEOUT_SECONDS="1")


@pytest.fixture
def ann(page: Page, site: Stack) -> User:
    """Who is logged in on this page."""
    with site.inside():
        user = User.objects.create_user(new_email(), PASSWORD)
    log_in(page, site.url, user.email, PASSWORD)
    return user


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


def test_the_bell_rings_by_itself_on_a_page_without_jobs_and_is_read_by_keyboard(
    page: Page, site: Stack, ann: User
) -> None:
    page.goto(f"{site.url}/account")
    bell = page.get_by_role("link", name="Notifications", exact=False).and_(page.locator(".bell"))
    expect(bell).to_have_accessible_name("Notifications")
    with site.inside():
        make_thing.enqueue(owner=ann)
        make_thing.enqueue(owner=ann, good=False)
    expect(bell).to_have_accessible_name("Notifications: 2 new")
    page.reload()
    expect(bell).to_have_accessible_name("Notifications: 2 new")

    bell.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Notifications")
    expect(panel.get_by_role("link", name="Make thing: failed")).to_be_visible()
    expect(bell).to_have_accessible_name("Notifications")
    for device, size in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"bell-{device}-{scheme}.png", animations="disabled")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(bell).to_be_focused()

    page.keyboard.press("Space")
    panel.get_by_role("link", name="See all").click()
    expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    screenshots(page, "notifications")


def test_without_scripts_the_bell_leads_to_a_page(browser, site: Stack, ann: User, page: Page) -> None:
    with site.inside():
        make_thing.enqueue(owner=ann)
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    plain = context.new_page()

    def rung() -> bool:
        plain.goto(f"{site.url}/account")
        return plain.locator(".bell").get_attribute("aria-label") == "Notifications: 1 new"

    wait_until(rung)
    plain.locator(".bell").click()
    expect(plain.get_by_role("link", name="Make thing: done")).to_be_visible()
    context.close()


def test_choices_are_made_in_a_table_and_on_a_phone_in_a_list(page: Page, site: Stack, ann: User) -> None:
    page.goto(f"{site.url}/account")
    page.get_by_role("link", name="Choose what you hear of").click()
    row = page.get_by_role("row", name="Something is ready")
    row.get_by_role("checkbox", name="Mail").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your choices are kept.")).to_be_visible()
    expect(row.get_by_role("checkbox", name="Mail")).to_be_checked()
    with site.inside():
        assert choices.wants(ann, Event.JOB_SUCCEEDED, Channel.MAIL)
    screenshots(page, "notification-settings")


def test_an_endpoint_is_made_tried_and_its_log_read(page: Page, site: Stack, ann: User, receiver: Receiver) -> None:
    page.goto(f"{site.url}/notifications/settings")
    page.get_by_role("link", name="Your webhooks").click()
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Add it").click()
    secret = page.locator(".secret code").inner_text()
    screenshots(page, "webhook-made")

    receiver.behaving = [500]
    with site.inside():
        for good in (False, True, True):
            make_thing.enqueue(owner=ann, good=good)
    wait_until(lambda: len(receiver.requests) == 3)
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_role("heading", name="endpoint.test")).to_be_visible()
    wait_until(lambda: len(receiver.requests) >= 4)
    assert {event["type"] for event in receiver.verified(secret)} == {"endpoint.test", "job.dead", "job.succeeded"}

    page.get_by_role("link", name="←").click()
    expect(page.get_by_text(secret)).to_have_count(0)
    wait_until(lambda: page.reload() and page.get_by_text("delivered", exact=True).count() >= 3)
    screenshots(page, "webhook")
    before = len(receiver.requests)
    page.get_by_role("link", name="job.dead").click()
    expect(page.get_by_text("That is what I say.").or_(page.get_by_text("204")).first).to_be_visible()
    screenshots(page, "webhook-delivery")
    page.get_by_role("button", name="Send").click()
    wait_until(lambda: len(receiver.requests) > before)
    page.goto(f"{site.url}/notifications/webhooks")
    screenshots(page, "webhooks")
