"""Asking for a report: it and its job exist together or not at all.

Staff get the figures of the whole site. Anybody else gets those of what is their own: their orders, their jobs, their
videos.
"""

import uuid
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from jobs.models import UNFINISHED
from reports.models import Detail, Format, Kind, Report
from reports.period import Period
from reports.tasks import make_report

EARLIEST = date(2000, 1, 1)
MOST_DAYS = 5 * 366
MOST_AT_ONCE = 5  # unfinished ones of one person


class Refused(Exception):
    """This report cannot be made. The message says why."""


class TooMany(Refused):
    pass


def ask(owner: Any, kind: str, period: Period, format: str, detail: str = Detail.TOTALS) -> Report:  # noqa: A002
    """Have a report made. Raises Refused."""
    check(period)
    if detail == Detail.ROWS and (kind, format) != (Kind.SALES, Format.CSV):
        raise Refused("Every order can be had of sales, as CSV. Ask for the totals of anything else.")
    if owner.reports.filter(job__state__in=UNFINISHED).count() >= MOST_AT_ONCE:
        raise TooMany(f"{MOST_AT_ONCE} of your reports are being made. Wait until one of them is there.")
    with transaction.atomic():
        pk = uuid.uuid4()
        return Report.objects.create(
            pk=pk,
            owner=owner,
            kind=kind,
            first_day=period.first,
            last_day=period.last,
            format=format,
            detail=detail,
            everybody=owner.is_staff,
            job=make_report.enqueue(report_id=str(pk), owner=owner, key=str(pk)),
        )


def check(period: Period) -> None:
    """Raises Refused if there can be no report on these days."""
    if period.last < period.first:
        raise Refused("The last day is before the first. Exchange them.")
    if period.first < EARLIEST:
        raise Refused(f"There is nothing before {EARLIEST.year}. Choose a later first day.")
    if period.last > timezone.now().date():
        raise Refused("The last day has not begun yet, in UTC. Choose today or an earlier one.")
    if period.days > MOST_DAYS:
        raise Refused("A report may be of five years at most. Choose fewer days.")
