"""The task that most mails need. A mail with a secret in it, such as a reset link, has a task that makes the secret
when it runs: what is given to `enqueue()` stays on the job for operators to read.
"""

from datetime import timedelta
from typing import Any

from jobs.models import Job
from jobs.task import task
from mail.once import TIME_LIMIT, send_once
from mail.sending import Refused


@task(queue="mail", max_attempts=25, backoff_cap=timedelta(hours=2), time_limit=TIME_LIMIT, permanent=Refused)
def send_message(job: Job, template: str, to: str, context: dict[str, Any], attachment: str = "") -> None:
    """Tries for most of a day, which is longer than mail servers tend to be down.

    attachment: the name of a file in the storage.
    """
    send_once(job, template, to, context, attachment)
