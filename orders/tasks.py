from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from jobs.models import Job
from jobs.task import task
from orders import charging, outcomes, payments, reconciling
from orders.models import Order, PaymentEvent


def about(order_id: str) -> dict[str, str]:
    return {"order": f"/api/orders/{order_id}", "page": f"/orders/{order_id}"}


# So many attempts outlast the key, with one every half an hour or so: it is time that ends them.
@task(
    queue="payments",
    max_attempts=100,
    time_limit=timedelta(minutes=1),
    permanent=(payments.Declined, charging.Unknown),
    links=about,
)
def charge_order(job: Job, order_id: str) -> None:
    order = Order.objects.select_related("owner", "product").get(pk=order_id)
    if order.paid_at:  # the gateway's webhook was faster than its answer
        return
    charge = charging.charge(order)
    with job.finishing({"order": order_id}):
        outcomes.paid(order, charge)


@task(queue="payments", max_attempts=100, time_limit=timedelta(minutes=1), links=about)
def refund_order(job: Job, order_id: str) -> None:
    order = Order.objects.select_related("owner", "product").get(pk=order_id)
    if order.refunded_at:
        return
    refunded_at = payments.refund(order)
    with job.finishing({"order": order_id}):
        outcomes.refunded(order, refunded_at)


@task(queue="payments", time_limit=timedelta(hours=1))
def reconcile_payments(job: Job) -> None:
    """Each charge is looked at on two nights, so one night may be missed."""
    until = job.created_at - reconciling.IN_FLIGHT
    compared = reconciling.compare(until - settings.RECONCILED, until, on_progress=job.advance)
    with job.finishing():
        reconciling.write_down(compared)


@task()
def forget_payment_events(job: Job) -> None:
    """The gateway repeats an event for some days, and not after that."""
    PaymentEvent.objects.filter(received_at__lt=timezone.now() - timedelta(days=30)).delete()
