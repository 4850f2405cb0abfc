"""Running the jobs of an order in this process, one attempt at a time."""

from django.db.models import F

from jobs.models import Job
from jobs.worker import work
from orders.models import Order


def run(job: Job) -> Job:
    """One attempt, now."""
    Job.objects.filter(pk=job.pk).update(run_at=F("created_at"))
    work([str(job.pk)], job.queue)
    return Job.objects.get(pk=job.pk)


def now(order: Order) -> Order:
    """As it is now."""
    return Order.objects.get(pk=order.pk)


def receipts(order: Order) -> int:
    return Job.objects.filter(task="mail.send_message", key=f"receipt:{order.pk}").count()
