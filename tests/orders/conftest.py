"""A sandbox gateway of their own for the tests that need no running site.

Our own modules are imported late: pytest reads this file before Django is set up.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
from django.utils import timezone

from config.processes import ROOT, Processes, procfile
from tests.gateway import Gateway
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def running_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Its webhook is a port at which nobody listens: what it announces is tried in tests of its own."""
    from tests.stack import free_port

    folder = tmp_path_factory.mktemp("gateway")
    port = free_port()
    env = {**os.environ, "DATA_DIR": str(folder), "GATEWAY_PORT": str(port), "PORT": "9"}
    with Path(folder, "log").open("w") as log:
        line = {"gateway": procfile(ROOT / "Procfile")["gateway"]}
        processes = Processes(line, env=env, output=log)
        processes.start()
        gateway = Gateway(port)
        try:
            wait_until(gateway.answers)
            yield gateway
        finally:
            processes.stop()


@pytest.fixture
def gateway(running_gateway: Gateway, settings: Any) -> Iterator[Gateway]:
    """The gateway that this test's own code asks."""
    from orders import payments

    settings.STRIPE_API_BASE = running_gateway.url
    payments.client.cache_clear()
    running_gateway.faults()
    yield running_gateway
    payments.client.cache_clear()


@pytest.fixture
def sdk(gateway: Gateway) -> stripe.StripeClient:
    """The official client, as anybody would make it."""
    return stripe.StripeClient("sk_test_of_a_stranger", base_addresses={"api": gateway.url}, max_network_retries=0)


@pytest.fixture
def product(db: None) -> Any:
    from orders.models import Product

    return Product.objects.create(name="Night lamp", price=2450, currency="eur")


@pytest.fixture
def buyer(db: None) -> Any:
    from accounts.models import User

    return User.objects.create_user("buyer@example.com")


@pytest.fixture
def order(buyer: Any, product: Any) -> Any:
    """Placed, and not charged yet: no worker is running."""
    from orders import ordering

    return ordering.place(buyer, product, 2, "pm_card_visa")


@pytest.fixture
def late(order: Any, gateway: Gateway) -> Any:
    """An order of which nothing is known, and whose key the gateway may have forgotten by now."""
    from orders.models import Order
    from tests.orders.attempts import run

    gateway.faults("error_during")
    run(order.job)
    Order.objects.update(asked_at=timezone.now() - timedelta(hours=24))
    gateway.faults()
    return order
