"""Deciding to whom the summaries of a day go: once, and in batches that can be taken up again where they were torn off.

Each batch is one transaction: its recipients, their jobs, and how far it came. Who gets one does not depend on when the
batch is done: it is who had work that ended on that day. Others take no part, so nobody is told of nothing.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from jobs.models import Job, State
from notifications import choices, telling
from notifications.models import Channel, Event
from summaries.models import Mailing, Recipient

BATCH = 500
SHOWN = 20  # jobs that one mail lists; of more it says how many


class Day(NamedTuple):
    """Somebody's day."""

    user: Any
    succeeded: int
    dead: int
    jobs: list[str]  # the latest, those that need somebody first


Launch = Callable[[Mailing, list[Day]], list[Job]]  # enqueues the mails, and returns their jobs


def freeze(day: date, launch: Launch) -> Iterator[int]:
    """Write down the recipients. Yields after each batch how many there are."""
    Mailing.objects.get_or_create(day=day)
    while not (mailing := freeze_batch(day, launch)).frozen_at:
        yield mailing.recipients


@transaction.atomic
def freeze_batch(day: date, launch: Launch) -> Mailing:
    mailing = Mailing.objects.select_for_update().get(day=day)  # one after the other, should two be at it
    if mailing.frozen_at:
        return mailing
    users = list(candidates(day).filter(pk__gt=mailing.frozen_up_to).order_by("pk")[:BATCH])
    if users:
        jobs = launch(mailing, days_of(users, day))
        Recipient.objects.bulk_create([Recipient(mailing=mailing, user=job.owner, job=job) for job in jobs])
        mailing.recipients += len(jobs)
        mailing.frozen_up_to = users[-1].pk
    if len(users) < BATCH:
        mailing.frozen_at = timezone.now()
    mailing.save()
    return mailing


def candidates(day: date) -> QuerySet[Any]:
    had_work = Exists(ended_on(day).filter(owner=OuterRef("pk")))
    users = get_user_model()._default_manager.filter(had_work, is_active=True)
    return choices.those_who_want(Event.DAILY_SUMMARY, Channel.MAIL, users)


def days_of(users: list[Any], day: date) -> list[Day]:
    """One query, however many users."""
    by_pk = {user.pk: user for user in users}
    jobs = ended_on(day).filter(owner__in=users).order_by("owner", "state", "-finished_at")
    jobs = jobs.only("pk", "owner", "state")  # dead comes before succeeded
    return [_day(by_pk[pk], list(theirs)) for pk, theirs in groupby(jobs, key=attrgetter("owner_id"))]


def ended_on(day: date) -> QuerySet[Job]:
    began = datetime.combine(day, time(), tzinfo=UTC)
    ended = Job.objects.ended().filter(finished_at__gte=began, finished_at__lt=began + timedelta(days=1))
    return ended.filter(task__in=telling.tasks())


def _day(user: Any, jobs: list[Job]) -> Day:
    dead = sum(job.state == State.DEAD for job in jobs)
    return Day(user, len(jobs) - dead, dead, [str(job.pk) for job in jobs[:SHOWN]])
