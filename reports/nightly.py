"""The sales of a day, for all staff: as PDF, Excel and CSV on the site, and in a mail with the CSV attached."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model

from jobs.models import Job
from mail.tasks import send_message
from reports import kinds, making
from reports.figures import Fact, Figures, Kind, written
from reports.models import Format, Report
from reports.models import Kind as ReportKind
from reports.period import DAY, Period, in_words
from reports.snapshot import snapshot

IN_THE_MAIL = 5  # products

Made = list[tuple[Report, Path]]


def day_before(slot: str) -> date:
    """The last day that was over, in UTC, at that moment."""
    return datetime.fromisoformat(slot).astimezone(UTC).date() - DAY


def is_reported(day: date) -> bool:
    return Report.objects.filter(owner=None, kind=ReportKind.SALES, first_day=day, last_day=day).exists()


def make(day: date, job: Job, folder: Path) -> tuple[Figures, Made]:
    """The figures, and a report with its file for each format. Nothing is written to the database yet."""
    with snapshot():
        figures = kinds.figures(ReportKind.SALES, Period(day, day), owner=None)
    reports = [
        Report(owner=None, kind=ReportKind.SALES, first_day=day, last_day=day, format=one, everybody=True, job=job)
        for one in Format
    ]
    return figures, [(report, making.export(figures, report, folder)) for report in reports]


def publish(figures: Figures, reports: list[Report], files: list[str], sizes: list[int]) -> None:
    """Have the reports seen by all staff, and one mail sent to each of them."""
    Report.objects.bulk_create(reports)
    for report, file, size in zip(reports, files, sizes, strict=True):
        report.publish(file, size)
    attached = next(file for file, report in zip(files, reports, strict=True) if report.format == Format.CSV)
    for person in get_user_model()._default_manager.filter(is_staff=True, is_active=True):
        send_message.enqueue(
            template="reports/messages/nightly_sales",
            to=person.email,
            context=told(figures, reports),
            attachment=attached,
            owner=person,
            key=f"nightly-sales:{reports[0].first_day}:{person.pk}",
        )


def told(figures: Figures, reports: list[Report]) -> dict[str, Any]:
    products = next(table for table in figures.tables if table.by == "product")
    return {
        "day": in_words(reports[0].first_day),
        "facts": [in_print(fact) for fact in figures.facts],
        "products": [{"name": row[0], "net": written(Kind.MONEY, row[-2])} for row in products.rows[:IN_THE_MAIL]],
        "files": [
            {"format": report.get_format_display(), "path": report.get_absolute_url()}
            for report in reports
            if report.format != Format.CSV
        ],
    }


def in_print(fact: Fact) -> dict[str, str]:
    grown = "" if fact.change is None else written(Kind.CHANGE, fact.change)
    return {"name": fact.name, "value": written(fact.kind, fact.value), "change": grown}
