from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings

from jobs.models import Job
from jobs.task import task
from mail.once import TIME_LIMIT, send_once
from mail.sending import Refused
from notifications import choices, unsubscribing
from notifications.models import Channel, Event
from summaries import freezing, writing
from summaries.freezing import Day
from summaries.models import Mailing

QUEUE = "bulk"  # with a worker of its own, so that no other mail waits behind thousands of these


@task(time_limit=timedelta(hours=1))
def mail_summaries(job: Job, slot: str) -> None:
    """Of the day before the slot. Torn off, it is taken up where it was."""
    day = datetime.fromisoformat(slot).date() - timedelta(days=1)
    for recipients in freezing.freeze(day, launch):
        job.advance(None, f"{recipients} recipients")


@task(
    queue=QUEUE,
    max_attempts=25,
    backoff_cap=timedelta(hours=2),
    time_limit=TIME_LIMIT,
    permanent=Refused,
    bundle=20,  # what a mailing sends in a second, and what is tried again if a worker dies
)
def send_summary(job: Job, day: str, succeeded: int, dead: int, jobs: list[str]) -> None:
    user = job.owner
    if user is None or not user.is_active or not choices.wants(user, Event.DAILY_SUMMARY, Channel.MAIL):
        return
    context = writing.summary(date.fromisoformat(day), succeeded, dead, jobs)
    if not context["dead"] and not context["succeeded"]:  # all of it runs again, or was deleted
        return
    context["unsubscribe"] = unsubscribing.address(user, Event.DAILY_SUMMARY)
    headers = unsubscribing.headers(context["unsubscribe"])
    send_once(job, "summaries/messages/summary", user.email, context, headers=headers)


def launch(mailing: Mailing, days: list[Day]) -> list[Job]:
    """One job for each, and not all at once: `settings.SUMMARIES_PER_SECOND`."""
    jobs = []
    for number, (user, succeeded, dead, theirs) in enumerate(days, mailing.recipients):
        run_at = mailing.began_at + timedelta(seconds=number / settings.SUMMARIES_PER_SECOND)
        told: dict[str, Any] = {"day": str(mailing.day), "succeeded": succeeded, "dead": dead, "jobs": theirs}
        jobs.append(send_summary.job(**told, owner=user, key=f"{user.pk}:{mailing.day}", run_at=run_at))
    send_summary.enqueue_many(jobs)
    return list(Job.objects.filter(task=send_summary.name, key__in=[job.key for job in jobs]).select_related("owner"))
