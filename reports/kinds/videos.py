"""What was uploaded, how long it is, and how much room it takes."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date
from pathlib import Path
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from files.stored import listed
from reports.figures import Chart, Column, Fact, Figures, Kind, Table, change
from reports.period import Period
from videos.models import Video

BATCH = 1000
# Files by their names, as people call them. Of the others the name will do: 720p.
NAMES = {
    "original": "Original",
    "master": "Playlist",
    "video": "MP4",
    "sound": "Sound",
    "poster": "Poster",
    "storyboard": "Storyboard",
}


@dataclass
class Stored:
    """Files, and bytes of them."""

    files: Counter[str] = field(default_factory=Counter)  # by what they are: the original, a poster, a size
    sizes: Counter[str] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)

    def add(self, what: str, day: date, size: int) -> None:
        self.files[what] += 1
        self.sizes[what] += size
        self.days[day] += size


def figures(period: Period, owner: Any) -> Figures:
    days, before = daily(period, owner), daily(period.before, owner)
    stored = storage(period, owner)
    days.columns.append(Column("Storage", Kind.BYTES))
    days.rows = [[*row, stored.days[row[0]]] for row in days.rows]
    uploads, minutes = ([sum(one[number] for one in table.rows) for table in (days, before)] for number in (1, 3))
    return Figures(
        facts=[
            Fact("Uploads", Kind.NUMBER, uploads[0], change(*uploads)),
            Fact("Minutes of video", Kind.MINUTES, minutes[0], change(*minutes)),
            Fact("Storage", Kind.BYTES, stored.sizes.total()),
            Fact("Files", Kind.NUMBER, stored.files.total()),
        ],
        tables=[days, by_file(stored)],
        notes=[
            "A video counts on the day on which it was uploaded, unless it has been deleted.",
            "It is ready when it can be played; its minutes are known from then on.",
            "Storage is of the files as they lie there now.",
        ],
    )


def daily(period: Period, owner: Any) -> Table:
    found = (
        uploaded(period, owner)
        .order_by()
        .annotate(day=TruncDate("created_at", tzinfo=UTC))
        .values_list("day")
        .annotate(uploads=Count("pk"), ready=Count("duration"), seconds=Sum("duration", default=0.0))
    )
    of = {day: [uploads, ready, seconds / 60] for day, uploads, ready, seconds in found}
    rows: list[Any] = [[day, *of.get(day, [0, 0, 0.0])] for day in period.every_day()]
    columns = [Column("Day", Kind.DAY), Column("Uploads", Kind.NUMBER), Column("Ready", Kind.NUMBER)]
    columns.append(Column("Minutes", Kind.MINUTES))
    chart = Chart("Uploads by day", 1, len(rows), line=True)
    return Table("day", columns, rows, chart, in_print=not period.is_long)


def by_file(stored: Stored) -> Table:
    rows = [[what, stored.files[what], size] for what, size in stored.sizes.most_common()]
    columns = [Column("File", Kind.TEXT), Column("Files", Kind.NUMBER), Column("Storage", Kind.BYTES)]
    chart = Chart("Storage by kind of file", 2, len(rows), line=False)
    return Table("file", columns, rows, chart if rows else None)


def storage(period: Period, owner: Any) -> Stored:
    """Asked of the storage, which alone knows."""
    stored = Stored()
    for video in uploaded(period, owner).only("created_at").iterator(BATCH):
        for file in listed(video.folder):
            what = Path(file.name).stem.partition("-")[0]
            stored.add(NAMES.get(what, what), video.created_at.astimezone(UTC).date(), file.size)
    return stored


def uploaded(period: Period, owner: Any) -> QuerySet[Video]:
    return period.of(Video.objects.all(), "created_at", owner)
