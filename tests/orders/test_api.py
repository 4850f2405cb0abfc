"""The shop over HTTP, as a program meets it on a running site."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client import Client, new_email
from tests.contract import checked_client, refused
from tests.gateway import Gateway
from tests.stack import Stack


@pytest.fixture(scope="module")
def site(make_module_stack: Any) -> Stack:
    site = make_module_stack(only=["web", "worker-payments", "clock", "gateway", "valkey"])
    site.manage("seed")
    return site


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


@pytest.fixture
def wish(client: Client) -> dict[str, Any]:
    """What to order, to be changed."""
    product = next(one for one in client.get("/api/products").json() if one["name"] == "Night lamp")
    return {"product": product["id"], "quantity": 2, "country": "SE", "payment_method": "pm_card_visa"}


def test_an_order_is_accepted_charged_and_can_be_followed(client, site, wish):
    answer = client.post("/api/orders", json=wish)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{answer.json()['id']}"
    job = client.finished(answer.headers["Location"])
    assert job["state"] == "succeeded"
    order = client.get(job["links"]["order"]).json()
    assert (order["payment"], order["amount"], order["currency"], order["product"]) == (
        "paid", 9800, "eur", "Night lamp",
    )  # fmt: skip
    assert order["country"] == "SE"
    assert order["paid_at"] and not order["refunded_at"]
    assert client.get("/api/orders").json() == [order]
    assert Gateway(site.env["GATEWAY_PORT"]).charged(order["id"]) == 1
    assert client.get(job["links"]["page"]).status_code == 302, "the page is for browsers, who log in"


def test_a_declined_card_is_told_in_words(client, wish):
    answer = client.post("/api/orders", json={**wish, "payment_method": "pm_card_chargeDeclined"})
    job = client.finished(answer.headers["Location"])
    assert (job["state"], job["error"]) == ("dead", {"type": "Declined", "message": "Your card was declined."})
    order = client.get(job["links"]["order"]).json()
    assert (order["payment"], order["decline_reason"]) == ("declined", "Your card was declined.")


def test_the_same_idempotency_key_orders_once(client, wish):
    key = {"Idempotency-Key": "of this order"}
    first, second = (client.post("/api/orders", json=wish, headers=key) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(client.get("/api/orders").json()) == 1
    assert "another request" in refused(client.post("/api/orders", json={**wish, "quantity": 3}, headers=key), 422)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": 100}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"product": 0}, "There is no such product."),
        ({"country": "ZZ"}, "country"),
        ({"payment_method": "4242 4242 4242 4242"}, "payment_method"),
        ({"payment_method": None}, "payment_method"),
    ],
)
def test_what_cannot_be_ordered_is_refused(client, wish, change, told):
    assert told in refused(client.post("/api/orders", json={**wish, **change}), 422)
    assert client.get("/api/orders").json() == []


def test_what_is_no_json_is_refused(client):
    refused(client.post("/api/orders", content="{", headers={"Content-Type": "application/json"}), 400)


def test_strangers_and_other_people_see_nothing(client, site, wish):
    order = client.finished(client.post("/api/orders", json=wish).headers["Location"])["links"]["order"]
    refused(site.http.get(order), 401)
    refused(site.http.post("/api/orders", json=wish), 401)
    with Client(site, new_email()) as other:
        refused(other.get(order), 404)
        assert other.get("/api/orders").json() == []
        assert site.http.get(order.removeprefix("/api")).status_code == 302
