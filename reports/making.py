"""From what was asked for to a file. Knows no Celery and no job."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from django.utils import timezone

from reports import kinds, rows
from reports.figures import Figures
from reports.models import Detail, Kind, Report
from reports.snapshot import snapshot

TITLES = {Kind.SALES: "Sales", Kind.JOBS: "Jobs", Kind.VIDEOS: "Videos"}

OnProgress = Callable[[float, str], object]


class NotAllowed(Exception):
    """Figures of the whole site are for staff, and you are not staff any more."""


def make(report: Report, folder: Path, on_progress: OnProgress) -> Path:
    """Write the report's file into `folder`. Raises NotAllowed."""
    owner = whose(report)
    if report.detail == Detail.ROWS:
        path = folder / report.file_name
        with snapshot():
            rows.write(report.period, owner, path, on_progress)
        return path
    on_progress(0.1, "Adding up")
    with snapshot():
        figures = kinds.figures(report.kind, report.period, owner)
    on_progress(0.7, "Writing")
    return export(figures, report, folder)


def export(figures: Figures, report: Report, folder: Path) -> Path:
    path = folder / report.file_name
    # Found by the name of the format, so that a process loads what PDF needs when it makes one, and most never do.
    write: Callable[[Figures, Path, str, list[str]], None] = import_module(f"reports.exports.{report.format}").write
    write(figures, path, TITLES[Kind(report.kind)], about(report))
    return path


def about(report: Report) -> list[str]:
    """What a report says of itself."""
    return [
        str(report.period),
        "Of the whole site" if report.everybody else f"Of {report.owner}",
        "Days begin and end in UTC",
        f"Made {timezone.now():%-d %B %Y, %H:%M} UTC",
    ]


def whose(report: Report) -> Any:
    """The user whose figures they are; None: everybody's. Raises NotAllowed."""
    if not report.everybody:
        return report.owner
    if report.owner and not report.owner.is_staff:
        raise NotAllowed(NotAllowed.__doc__)
    return None
