"""The sandbox is held to what Stripe documents, by Stripe's own client."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from uuid import uuid4

import pytest
import stripe

from tests.gateway import Gateway
from tests.waiting import wait_until


@pytest.fixture
def pay(sdk):
    def pay(order=None, key=None, card="pm_card_visa", amount=1200):
        return sdk.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": "eur",
                "payment_method": card,
                "confirm": True,
                "metadata": {"order": str(order or uuid4())},
            },
            {"idempotency_key": key or str(uuid4())},
        )

    return pay


@pytest.fixture
def order():
    return str(uuid4())


# --- payments ---


def test_a_payment_succeeds(pay, sdk, order):
    intent = pay(order)
    assert (intent.object, intent.status, intent.amount, intent.amount_received) == (
        "payment_intent", "succeeded", 1200, 1200,
    )  # fmt: skip
    charge = sdk.v1.charges.retrieve(intent.latest_charge)
    assert (charge.status, charge.paid, charge.payment_intent) == ("succeeded", True, intent.id)
    assert charge.metadata["order"] == order, "Stripe copies it from the payment intent"
    assert sdk.v1.payment_intents.retrieve(intent.id) == intent


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_a_card_is_declined(pay, sdk, gateway, order, card, code, decline_code):
    with pytest.raises(stripe.CardError) as raised:
        pay(order, card=card)
    error = raised.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline_code)
    assert error.error.payment_intent.status == "requires_payment_method"
    assert sdk.v1.charges.retrieve(error.error.charge).status == "failed"
    assert gateway.charged(order) == 0


def test_a_card_that_there_is_not(pay):
    with pytest.raises(stripe.InvalidRequestError) as raised:
        pay(card="pm_card_of_nobody")
    assert (raised.value.param, raised.value.code) == ("payment_method", "resource_missing")


def test_an_account_needs_its_key(gateway):
    stranger = stripe.StripeClient("pk_live_wrong", base_addresses={"api": gateway.url})
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.charges.list()


def test_what_there_is_not_is_not_found(sdk):
    with pytest.raises(stripe.InvalidRequestError) as raised:
        sdk.v1.charges.retrieve("ch_none")
    assert raised.value.http_status == 404


# --- the same request again ---


def test_the_same_key_repeats_the_answer(pay, gateway, order):
    first, second = pay(order, "key of a success " + order), pay(order, "key of a success " + order)
    assert first == second
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert gateway.charged(order) == 1


def test_the_same_key_repeats_a_decline(pay, gateway, order):
    charges = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as raised:
            pay(order, order, card="pm_card_chargeDeclined")
        charges.add(raised.value.error.charge)
    assert len(charges) == 1
    assert gateway.ledger()["declined"][order] == 1


@pytest.mark.parametrize(("fault", "charged"), [("error_during", 0), ("error_after", 1)])
def test_the_same_key_repeats_an_error_of_the_execution(pay, gateway, order, fault, charged):
    gateway.faults(fault)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as raised:
            pay(order, order)
        assert raised.value.http_status == 500
    assert gateway.charged(order) == charged


@pytest.mark.parametrize(("fault", "error"), [("busy", stripe.RateLimitError), ("error_before", stripe.APIError)])
def test_what_comes_before_the_execution_leaves_the_key_unused(pay, gateway, order, fault, error):
    gateway.faults(fault)
    with pytest.raises(error):
        pay(order, order)
    assert pay(order, order).status == "succeeded"
    assert gateway.charged(order) == 1


def test_so_do_wrong_parameters(pay, order):
    with pytest.raises(stripe.InvalidRequestError):
        pay(order, order, amount=-1)
    assert pay(order, order).status == "succeeded"


def test_too_many_requests_say_when_to_come_back(pay, gateway):
    gateway.faults("busy")
    with pytest.raises(stripe.RateLimitError) as raised:
        pay()
    assert raised.value.headers["Retry-After"] == "1"


def test_the_same_key_with_other_parameters_is_an_error(pay, sdk, gateway, order):
    intent = pay(order, order)
    with pytest.raises(stripe.IdempotencyError):
        pay(order, order, amount=1300)
    with pytest.raises(stripe.IdempotencyError):
        sdk.v1.refunds.create({"charge": intent.latest_charge}, {"idempotency_key": order})
    assert gateway.charged(order) == 1


def test_the_same_key_at_the_same_time_is_a_conflict(pay, gateway, order):
    gateway.faults("slow", seconds=1)
    with ThreadPoolExecutor(2) as people:
        first = people.submit(pay, order, order)
        wait_until(lambda: gateway.ledger()["faults"] == {"slow": 1})
        with pytest.raises(stripe.APIError) as raised:
            pay(order, order)
        assert (raised.value.http_status, raised.value.error.code) == (409, "idempotency_key_in_use")
        assert first.result().status == "succeeded"
    assert pay(order, order) == first.result()
    assert gateway.charged(order) == 1


def test_an_answer_that_was_dropped_is_given_again(pay, gateway, order):
    gateway.faults("drop_after")
    with pytest.raises(stripe.APIConnectionError):
        pay(order, order)
    assert pay(order, order).status == "succeeded"
    assert gateway.charged(order) == 1


def test_a_client_that_gave_up_waiting_was_charged_all_the_same(gateway, order):
    impatient = stripe.StripeClient(
        "sk_test_1",
        base_addresses={"api": gateway.url},
        http_client=stripe.RequestsClient(timeout=0.3),
        max_network_retries=0,
    )
    gateway.faults("slow", seconds=1)
    wish = {
        "amount": 1200,
        "currency": "eur",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "metadata": {"order": order},
    }
    with pytest.raises(stripe.APIConnectionError):
        impatient.v1.payment_intents.create(wish, {"idempotency_key": order})
    wait_until(lambda: gateway.charged(order) == 1)
    assert impatient.v1.payment_intents.create(wish, {"idempotency_key": order}).status == "succeeded"
    assert gateway.charged(order) == 1


# --- refunds ---


def test_a_refund(pay, sdk, gateway, order):
    charge = pay(order).latest_charge
    for _ in range(2):
        refund = sdk.v1.refunds.create({"charge": charge}, {"idempotency_key": f"refund {order}"})
    assert (refund.status, refund.amount) == ("succeeded", 1200)
    refunded = sdk.v1.charges.retrieve(charge)
    assert (refunded.refunded, refunded.amount_refunded) == (True, 1200)
    assert gateway.ledger()["refunded"][order] == 1


def test_what_is_refunded_is_not_refunded_again_under_another_key(pay, sdk):
    charge = pay().latest_charge
    sdk.v1.refunds.create({"charge": charge})
    with pytest.raises(stripe.InvalidRequestError) as raised:
        sdk.v1.refunds.create({"charge": charge})
    assert raised.value.code == "charge_already_refunded"


# --- looking ---


def test_lists_come_in_pages_newest_first(pay, sdk):
    since = int(time.time())
    made = [pay().latest_charge for _ in range(7)]
    created = {"gte": since}
    page = sdk.v1.charges.list({"limit": 3, "created": created})
    assert ([one.id for one in page.data], page.has_more) == (made[:-4:-1], True)
    assert [one.id for one in page.auto_paging_iter()][:7] == made[::-1]
    assert sdk.v1.charges.list({"created": {"lt": since - 3600}}).data == []
    assert sdk.v1.charges.list({"created": {"lte": since - 3600}}).data == []
    assert sdk.v1.charges.list({"created": {"gt": int(time.time()) + 3600}}).data == []


def test_the_charges_of_one_order_are_found(pay, sdk, order):
    made = pay(order)
    pay()
    found = sdk.v1.charges.search({"query": f"metadata['order']:'{order}'"})
    assert [one.id for one in found.auto_paging_iter()] == [made.latest_charge]


# --- what it keeps ---


def test_a_killed_sandbox_has_kept_keys_and_charges_and_claims_nothing_for_ever(make_stack, order):
    site = make_stack(only=["gateway"])
    gateway = Gateway(site.env["GATEWAY_PORT"])
    wait_until(gateway.answers)
    sdk = stripe.StripeClient("sk_test_1", base_addresses={"api": gateway.url}, max_network_retries=0)
    wish = {"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}

    def pay(key):
        return sdk.v1.payment_intents.create({**wish, "metadata": {"order": key}}, {"idempotency_key": key})

    first = pay("kept")
    gateway.faults("slow", seconds=60)
    with ThreadPoolExecutor(1) as people:
        cut_off = people.submit(pay, "cut off")
        wait_until(lambda: gateway.ledger()["faults"] == {"slow": 1})
        site.kill("gateway")
        with pytest.raises(stripe.APIConnectionError):
            cut_off.result()
    wait_until(gateway.answers)
    assert pay("kept") == first
    assert pay("cut off").status == "succeeded"
    assert gateway.ledger()["charged"] == {"kept": 1, "cut off": 1}


def test_a_key_whose_time_is_over_makes_a_new_charge(make_stack):
    site = make_stack(only=["gateway"], SANDBOX_KEYS_KEPT_SECONDS="1")
    gateway = Gateway(site.env["GATEWAY_PORT"])
    wait_until(gateway.answers)
    sdk = stripe.StripeClient("sk_test_1", base_addresses={"api": gateway.url}, max_network_retries=0)
    wish = {
        "amount": 1200,
        "currency": "eur",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "metadata": {"order": "one"},
    }
    first = sdk.v1.payment_intents.create(wish, {"idempotency_key": "one"})
    wait_until(lambda: sdk.v1.payment_intents.create(wish, {"idempotency_key": "one"}).id != first.id)
    assert gateway.charged("one") == 2, "which is why nobody may ask again so late"


# --- what it announces ---


class Webhook(HTTPServer):
    """Hears what is announced, and refuses each for the first time."""

    def __init__(self, port):
        self.heard = []
        self.refuse = 1
        super().__init__(("127.0.0.1", port), Hearing)
        Thread(target=self.serve_forever, daemon=True).start()


class Hearing(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], "whsec_sandbox")
        refused = self.server.refuse > 0
        self.server.refuse -= 1
        if not refused:
            self.server.heard.append((time.time(), event))
        self.send_response(500 if refused else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_events_are_signed_repeated_until_heard_and_told_twice_or_early_when_planned(make_stack):
    site = make_stack(only=["gateway"])
    webhook = Webhook(site.port)
    gateway = Gateway(site.env["GATEWAY_PORT"])
    wait_until(gateway.answers)
    sdk = stripe.StripeClient("sk_test_1", base_addresses={"api": gateway.url}, max_network_retries=0)

    def pay(order):
        wish = {"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
        return sdk.v1.payment_intents.create({**wish, "metadata": {"order": order}})

    try:
        intent = pay("refused at first")
        [(_, event)] = wait_until(lambda: list(webhook.heard))
        assert (event.type, event.data.object.id) == ("payment_intent.succeeded", intent.id)

        gateway.faults("event_twice", "event_first", "event_lost", None)
        pay("twice")
        wait_until(lambda: len(webhook.heard) == 3)
        assert webhook.heard[1][1].id == webhook.heard[2][1].id
        pay("first")
        answered_at = time.time()
        told_at, event = wait_until(lambda: webhook.heard[3:] and webhook.heard[3])
        assert event.data.object.metadata["order"] == "first"
        assert told_at < answered_at
        pay("lost")
        pay("last")
        wait_until(lambda: len(webhook.heard) == 5)
        assert json.loads(str(webhook.heard[4][1]))["data"]["object"]["metadata"]["order"] == "last"
    finally:
        webhook.shutdown()
        webhook.server_close()
