from datetime import timedelta

from jobs.models import Job, State
from jobs.task import task
from mail.once import TIME_LIMIT, send_once
from mail.sending import Refused
from notifications import words

# An end is written down with a moment of before its commit. No transaction takes that long.
LONGEST_COMMIT = timedelta(hours=1)


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
