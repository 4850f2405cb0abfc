"""What staff see of orders, and what they may do about them."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from jobs.models import Job
from orders.models import Difference, Order, Payment, Reconciliation
from tests.orders.attempts import now, run

pytestmark = pytest.mark.django_db

ORDERS = "/admin/orders/order/"


@pytest.fixture
def staff(client, django_user_model):
    """Somebody who may see and settle, logged in."""
    person = django_user_model.objects.create_user("staff@example.com", is_staff=True)
    person.user_permissions.set(
        Permission.objects.filter(content_type__app_label="orders", codename__in=["view_order", "settle_order"])
    )
    client.force_login(person)
    return person


@pytest.fixture
def act(client, staff):
    def act(action, *orders, page=ORDERS):
        chosen = {"action": action, "_selected_action": [str(order.pk) for order in orders]}
        answer = client.post(page, chosen, follow=True)
        return [str(message) for message in answer.context["messages"]]

    return act


def test_a_paid_order_is_refunded(act, gateway, order):
    run(order.job)
    assert act("refund", order) == [f"{order}: A job refunds it."]
    run(Job.objects.get(task="orders.refund_order"))
    assert now(order).payment == Payment.REFUNDED
    assert act("refund", order) == [f"{order}: This order is refunded. Only one that is paid can be refunded."]


def test_an_unknown_order_is_looked_for_and_settled_and_that_is_audited(act, gateway, late, staff):
    run(late.job)
    assert "The gateway shows no charge" in act("look_at_the_gateway", late)[0]
    assert "It is settled as not paid." in act("settle_as_not_paid", late)[0]
    assert now(late).payment == Payment.DECLINED
    entries = LogEntry.objects.filter(user=staff, object_id=str(late.pk)).order_by("pk")
    assert [one.change_message.split(":")[0] for one in entries] == ["Look at the gateway", "Settle as not paid"]


def test_who_may_only_look_cannot_act(client, act, gateway, order, staff):
    run(order.job)
    staff.user_permissions.set(Permission.objects.filter(codename="view_order"))
    assert client.get(ORDERS).status_code == 200
    assert act("refund", order) == []
    assert not Job.objects.filter(task="orders.refund_order").exists()


@pytest.mark.parametrize("payment", ["", "unknown", "pending", "paid", "declined", "refunded"])
def test_orders_are_found_by_payment(client, staff, gateway, order, payment):
    run(order.job)
    page = client.get(ORDERS, {"payment": payment} if payment else {}).content.decode()
    assert (str(order.pk) in page) == (payment in ("", "paid"))


def test_orders_are_found_by_buyer_and_charge_and_shown(client, staff, gateway, order):
    run(order.job)
    for sought in (order.owner.email, now(order).charge_id, str(order.pk)):
        assert str(order.pk) in client.get(ORDERS, {"q": sought}).content.decode()
    assert client.get(f"{ORDERS}{order.pk}/change/").status_code == 200
    assert client.get(f"{ORDERS}add/").status_code == 403


def test_differences_are_seen_and_settled(admin_client, order):
    run_of_a_night = Reconciliation.objects.create(since="2026-01-01T00:00Z", until="2026-01-02T00:00Z")
    difference = Difference.objects.create(
        kind=Difference.Kind.AMOUNT, reference=str(order.pk), order=order, details="1 here, 2 there.",
        found_in=run_of_a_night,
    )  # fmt: skip
    page = reverse("admin:orders_difference_changelist")
    assert "1 here, 2 there." in admin_client.get(page).content.decode()
    admin_client.post(page, {"action": "settle", "_selected_action": [difference.pk]})
    difference.refresh_from_db()
    assert difference.settled_at
    assert admin_client.get(reverse("admin:orders_reconciliation_changelist")).status_code == 200
    assert Order.objects.count() == 1
