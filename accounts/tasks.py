from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import passwords
from jobs.models import Job
from jobs.task import task
from mail.once import TIME_LIMIT, send_once
from mail.sending import Refused


# On a queue with a worker of its own: somebody sits and waits for this mail. After about half an hour they do not.
@task(queue="urgent", max_attempts=12, backoff_cap=timedelta(minutes=5), time_limit=TIME_LIMIT, permanent=Refused)
def send_reset_link(job: Job, email: str) -> None:
    """The address is looked up here, not in the request, so that the page answers strangers and members alike."""
    if user := passwords.resettable(email):
        link, hours = passwords.reset_link(user), settings.PASSWORD_RESET_TIMEOUT // 3600
        send_once(job, "accounts/messages/reset_password", user.email, {"link": link, "hours": hours})


@task()
def forget_sessions(job: Job) -> dict[str, int]:
    """Those that have expired: nobody is logged in by them any more."""
    forgotten, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    return {"forgotten": forgotten}
