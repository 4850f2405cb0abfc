"""The modules that enqueue these tasks are imported late: they import this one."""

from datetime import datetime, timedelta

from django.utils import timezone

from jobs.models import Job, State
from jobs.task import task
from mail.once import TIME_LIMIT, send_once
from mail.sending import Refused
from notifications import delivering, words
from notifications.models import Delivery

# An end is written down with a moment of before its commit. No transaction takes that long.
LONGEST_COMMIT = timedelta(hours=1)
DELIVERIES_KEPT = timedelta(days=30)


@task(queue="mail", max_attempts=25, backoff_cap=timedelta(hours=2), time_limit=TIME_LIMIT, permanent=Refused)
def mail_about_job(job: Job, about: str, version: int) -> None:
    """Say nothing of what is not so any more: the job was requeued or deleted meanwhile."""
    finished = Job.objects.select_related("owner").filter(pk=about, version=version, owner__is_active=True).first()
    if finished is None or finished.owner is None:
        return
    context = {
        "words": words.about(finished),
        "path": words.page_of(finished),
        "problem": finished.error["message"] if finished.error else "",
    }
    send_once(job, "notifications/messages/about_job", finished.owner.email, context)


@task()
def tell_missed(job: Job) -> dict[str, int]:
    """Go back to the last time that this was done, and a bit further."""
    from notifications import telling

    before = Job.objects.filter(task=job.task, key__isnull=False, state=State.SUCCEEDED).order_by("-key").first()
    since = (before or job).created_at - LONGEST_COMMIT
    return {"told": telling.tell_missed(since)}


# It is the schedule of `delivering` that ends the tries. Other attempts are those of killed workers.
@task(queue="webhooks", max_attempts=100, time_limit=timedelta(minutes=2))
def deliver(job: Job, delivery_id: str) -> None:
    delivery = Delivery.objects.select_related("endpoint__owner").filter(pk=delivery_id, job=job).first()
    if delivery is None or delivery.endpoint.disabled_at:
        return
    if wait := delivering.turn_of(job, delivery.endpoint):
        job.postpone(wait)
        return
    delivering.settle(job, delivery, delivering.attempt(delivery))


@task(time_limit=timedelta(hours=1))
def replay_deliveries(job: Job, endpoint_id: str, since: str, until: str, undelivered_only: bool) -> dict[str, int]:
    """Done again after an interruption, it sends again what it has sent: receivers know that by its webhook-id."""
    from notifications import webhooks

    began, ended = datetime.fromisoformat(since), datetime.fromisoformat(until)
    replayed = 0
    for delivery in webhooks.in_range(endpoint_id, began, ended, undelivered_only):
        replayed += webhooks.replay(delivery)
        job.advance(None, f"{replayed} sent anew")
    return {"replayed": replayed}


@task()
def forget_deliveries(job: Job) -> None:
    Delivery.objects.filter(created_at__lt=timezone.now() - DELIVERIES_KEPT).delete()
