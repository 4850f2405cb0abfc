"""What has finished lately, for the bell on every page.

The jobs themselves are the list: nothing is copied, so it cannot say what is not so. All that is kept is up to when
somebody has looked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from jobs.models import Job, State
from notifications import choices, telling, words
from notifications.models import Channel, Seen

RECENT = 20
COUNTED = 99  # unseen ones; there may be more


@dataclass
class Notice:
    job: Job
    words: str
    page: str
    unseen: bool

    @property
    def good(self) -> bool:
        return self.job.state == State.SUCCEEDED


def recent(user: Any) -> list[Notice]:
    """The newest first."""
    until = _seen_until(user)
    jobs = _heard_by(user).order_by(F("finished_at").desc())[:RECENT]
    return [Notice(job, words.about(job), words.page_of(job), _later(job, until)) for job in jobs]


def unseen(user: Any) -> int:
    """How many have finished since they looked, up to COUNTED + 1."""
    jobs = _heard_by(user)
    if until := _seen_until(user):
        jobs = jobs.filter(finished_at__gt=until)
    return jobs.order_by()[: COUNTED + 1].count()


def look(user: Any, notices: list[Notice]) -> None:
    """They see these. What finishes in this moment they have not seen."""
    newest = max((notice.job.finished_at for notice in notices if notice.job.finished_at), default=None)
    if newest and notices[0].unseen:
        Seen.objects.update_or_create(user=user, defaults={"until": newest})


def _heard_by(user: Any) -> QuerySet[Job]:
    chosen = choices.of(user)
    states = [state for state, event in telling.EVENTS.items() if chosen[event, Channel.BROWSER]]
    return Job.objects.ended().filter(owner=user, parent=None, task__in=telling.tasks(), state__in=states)


def _seen_until(user: Any) -> datetime | None:
    return Seen.objects.filter(user=user).values_list("until", flat=True).first()


def _later(job: Job, until: datetime | None) -> bool:
    return until is None or job.finished_at is None or job.finished_at > until
