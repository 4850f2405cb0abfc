"""A job's mail is sent once.

That the mail server has taken it is written down at once, before anything else, so whatever happens to the worker
before or after that moment, the mail is sent once. What remains is the moment itself: the worker is killed, frozen for
longer than its lease, or cut off from the database or the mail server, when the mail has been handed over and that one
row is not written. Nobody can exclude it, as the server and the database do not commit together. Then the next attempt
sends the mail again under the same Message-ID, by which mail servers and readers know the second for the first.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from jobs.interrupt import shielded
from jobs.models import Job
from mail import sending
from mail.models import Sent

# Longer than twice `settings.EMAIL_TIMEOUT`, for a kept connection and then a new one, so that it is the mail server's
# answer that decides.
TIME_LIMIT = timedelta(minutes=25)


def send_once(
    job: Job,
    template: str,
    to: str,
    context: dict[str, Any],
    attachment: str = "",
    headers: Mapping[str, str] = sending.NONE,
) -> None:
    """Send this mail unless an earlier attempt of the job has. For task bodies.

    Raises sending.Refused if the mail can never be delivered, LeaseLost if the job is in other hands by now, and other
    errors if the mail may be delivered later.
    """
    if Sent.knows(job):
        return
    message = sending.compose(template, to, context, message_id=str(job.pk), headers=headers)
    if attachment:
        sending.attach(message, attachment)
    with shielded():  # a worker that is told to stop hears the server out
        sending.send(message, on_accepted=partial(Sent.remember, job))
