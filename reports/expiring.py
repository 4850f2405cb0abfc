"""Removing the files of reports that are too old, and those that no report has.

A file is nobody's when its worker was killed between storing it and the commit that names it, or when its report was
deleted with its owner.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.core.files.storage import default_storage
from django.utils import timezone

from files.stored import listed
from reports.models import FOLDER, Report

BEING_MADE = timedelta(hours=2)  # longer than any attempt may take: what is younger may be published yet


def remove_expired() -> int:
    """Remove the files, and say how many there were. The reports stay, say so, and can be asked for again."""
    removed = 0
    for report in Report.objects.expired().order_by().iterator(chunk_size=500):
        remove(str(report.file.name))
        removed += Report.objects.filter(pk=report.pk).update(file="")
    for name in orphans():
        remove(name)
        removed += 1
    return removed


def remove(name: str) -> None:
    default_storage.delete(name)
    with suppress(OSError):  # others are in it
        default_storage.delete(name.rpartition("/")[0])


def orphans() -> Iterator[str]:
    known = set(Report.objects.exclude(file="").values_list("file", flat=True))
    for file in listed(FOLDER):
        if file.name not in known and file.modified < timezone.now() - BEING_MADE:
            yield file.name
