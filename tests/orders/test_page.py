"""The shop in a real browser: an order is placed, charged and its receipt mailed without a reload."""

import re
from collections.abc import Iterator
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from accounts.models import User
from jobs.models import Job
from orders import ordering
from orders.models import Order, Product
from tests.browser import log_in, screenshots
from tests.client import new_email
from tests.gateway import Gateway
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(make_module_stack: Any) -> Stack:
    """One running site for all tests of this file: each works on a user of its own."""
    site = make_module_stack(
        database="sqlite",
        only=["web", "worker-payments", "worker-mail", "clock", "gateway", "valkey"],
        JOB_LEASE_SECONDS="3",
    )
    site.manage("seed")
    return site


@pytest.fixture
def gateway(site: Stack) -> Iterator[Gateway]:
    gateway = Gateway(site.env["GATEWAY_PORT"])
    yield gateway
    gateway.faults()


@pytest.fixture
def email(page: Page, site: Stack) -> str:
    """Of the user who is logged in on the page."""
    email = new_email()
    with site.inside():
        User.objects.create_user(email, "secret")
    log_in(page, site.url, email, "secret")
    return email


@pytest.fixture
def shop(page: Page, site: Stack, email: str) -> Page:
    page.goto(f"{site.url}/shop/")
    return page


def buy(shop: Page, product: str = "Night lamp", quantity: str = "2", card: str = "A card that works") -> None:
    offer = shop.get_by_role("article", name=product)
    offer.get_by_label("Quantity").fill(quantity)
    offer.get_by_label("Card").select_option(card)
    offer.get_by_role("button", name="Buy").click()
    expect(shop.get_by_role("heading", name=product, level=1)).to_be_visible()


def test_an_order_is_paid_and_its_receipt_arrives_in_the_inbox(
    shop: Page, site: Stack, gateway: Gateway, email: str
) -> None:
    screenshots(shop, "shop")
    gateway.faults("slow", seconds=1.5)
    buy(shop)
    order = shop.url.rpartition("/")[2]
    shop.evaluate("window.notReloaded = true")
    expect(shop.get_by_text("Asking your bank.")).to_be_visible()
    expect(shop.get_by_text("98.00 EUR")).to_be_visible()
    screenshots(shop, "order-pending")
    expect(shop.get_by_text("Paid", exact=True)).to_be_visible()
    expect(shop.get_by_text(f"The receipt has been sent to {email}.")).to_be_visible()
    assert shop.evaluate("window.notReloaded")
    screenshots(shop, "order-paid")

    shop.get_by_role("link", name="Open the inbox").click()
    shop.get_by_role("link", name=re.compile("Receipt for Night lamp: 98.00 EUR")).first.click()
    mail = shop.frame_locator("iframe")
    expect(mail.get_by_text(f"Order {order}")).to_be_visible()
    screenshots(shop, "order-receipt")
    assert gateway.charged(order) == 1


def test_a_receipt_sent_while_the_card_that_tells_of_it_is_on_its_way(
    shop: Page, site: Stack, gateway: Gateway, email: str
) -> None:
    held = []

    def hold_what_is_soon_old(route: Route) -> None:
        answer = route.fetch()
        if "The receipt is on its way" in answer.text():
            held.append((route, answer))
        else:
            route.fulfill(response=answer)

    site.kill("worker-mail", SIGSTOP)
    gateway.faults("slow", seconds=1.5)
    buy(shop)
    shop.evaluate("document.addEventListener('job', ({detail: job}) => window.heard = `${job.task} ${job.state}`)")
    shop.route(shop.url, hold_what_is_soon_old)
    wait_until(lambda: shop.evaluate("true") and held)
    site.kill("worker-mail", SIGCONT)
    wait_until(lambda: shop.evaluate("window.heard") == "mail.send_message succeeded")
    for route, answer in held:
        route.fulfill(response=answer)
    expect(shop.get_by_text(f"The receipt has been sent to {email}.")).to_be_visible()


def test_a_declined_card_says_so_and_leads_back_to_the_shop(shop: Page, gateway: Gateway) -> None:
    buy(shop, "Wool blanket", card="A card without funds")
    expect(shop.get_by_text("Your card has insufficient funds.", exact=True)).to_be_visible()
    expect(shop.get_by_text("Declined", exact=True)).to_be_visible()
    screenshots(shop, "order-declined")
    shop.get_by_role("link", name="Order again").click()
    expect(shop.get_by_role("heading", name="Shop")).to_be_visible()


def test_a_gateway_that_fails_is_asked_again_and_the_owner_is_told_not_to_worry(shop: Page, gateway: Gateway) -> None:
    gateway.faults("error_before")
    buy(shop)
    expect(shop.get_by_text("You will not be charged twice.")).to_be_visible()
    screenshots(shop, "order-retrying")
    expect(shop.get_by_text("Paid", exact=True)).to_be_visible(timeout=30_000)
    assert gateway.charged(shop.url.rpartition("/")[2]) == 1


def test_the_list_shows_new_orders_and_how_they_fare(shop: Page, site: Stack, email: str) -> None:
    shop.goto(f"{site.url}/orders/")
    expect(shop.get_by_text("Nothing here yet")).to_be_visible()
    with site.inside():
        owner = User.objects.get(email=email)
        for name, card in (("Ear plugs", "pm_card_visa"), ("Window seat", "pm_card_chargeDeclined")):
            ordering.place(owner, Product.objects.get(name=name), 1, card)
    for name, payment in (("Ear plugs", "Paid"), ("Window seat", "Declined")):
        expect(shop.get_by_role("article", name=name).get_by_text(payment, exact=True)).to_be_visible()
    screenshots(shop, "orders")


def test_an_order_sent_twice_is_one_order(shop: Page, site: Stack, email: str) -> None:
    """As when the answer was lost, and the browser asks whether to send the form again."""
    offer = shop.get_by_role("article", name="Ear plugs")
    form = offer.locator("form").evaluate("form => Object.fromEntries(new FormData(form))")
    for _ in range(2):
        answer = shop.request.post(
            f"{site.url}/shop/", form=form, headers={"Referer": f"{site.url}/shop/"}, max_redirects=0
        )
        assert answer.status == 302
    with site.inside():
        assert Order.objects.filter(owner__email=email).count() == 1
        assert Job.objects.filter(owner__email=email, task="orders.charge_order").count() == 1


def test_it_works_without_javascript_and_by_keyboard(browser: Browser, shop: Page, site: Stack) -> None:
    context = browser.new_context(java_script_enabled=False, storage_state=shop.context.storage_state())
    plain = context.new_page()
    plain.goto(f"{site.url}/shop/")
    plain.get_by_role("article", name="Reading light").get_by_label("Quantity").focus()
    plain.keyboard.press("Control+A")
    plain.keyboard.type("3")
    for _ in ("country", "card", "button"):
        plain.keyboard.press("Tab")
    plain.keyboard.press("Enter")
    expect(plain.get_by_role("heading", name="Reading light", level=1)).to_be_visible()
    expect(plain.get_by_text("\N{MULTIPLICATION SIGN} 3")).to_be_visible()
    wait_until(lambda: plain.reload() and plain.get_by_text("Paid", exact=True).count(), every=0.5)
    context.close()


def test_what_is_wrong_is_said(shop: Page, site: Stack) -> None:
    offer = shop.get_by_role("article", name="Ear plugs")
    offer.get_by_label("Quantity").evaluate("input => { input.removeAttribute('max'); input.value = 1000 }")
    offer.get_by_role("button", name="Buy").click()
    expect(shop.get_by_text("Choose a product, how many of it (up to 99), a country and a card.")).to_be_visible()
