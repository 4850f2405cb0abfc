"""Reports on jobs and on videos."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from jobs.models import Job, State
from reports import kinds
from reports.period import Period
from videos.models import Video

pytestmark = pytest.mark.django_db

DAYS = Period(date(2026, 6, 1), date(2026, 6, 3))
NOON = datetime(2026, 6, 2, 12, tzinfo=UTC)


def ended(owner, state: State = State.SUCCEEDED, at: datetime = NOON, wait: float = 1, run: float = 2, **more) -> Job:
    began = at - timedelta(seconds=run)
    times = {"run_at": began - timedelta(seconds=wait), "started_at": began, "finished_at": at}
    facts = {"task": "trial.record", "queue": "quick", "max_attempts": 3, "owner": owner, "state": state}
    return Job.objects.create(**facts, **times, **more)


def test_jobs_by_task_with_their_times_and_what_they_died_of(buyer, staff):
    ended(buyer, wait=1, run=2, attempt=1)
    ended(buyer, wait=3, run=4, attempt=1)
    ended(buyer, State.DEAD, wait=5, run=6, attempt=3, error={"type": "TimeoutError", "message": "no"})
    ended(staff, State.CANCELLED, at=NOON + timedelta(days=1), attempt=0)
    ended(staff, at=NOON + timedelta(days=9))
    days, tasks, failures = kinds.figures("jobs", DAYS, None).tables
    assert [row[1:] for row in days.rows] == [[0, 0, 0, 0], [3, 2, 1, 0], [1, 0, 0, 1]]
    [[task, *numbers]] = tasks.rows
    seconds = [span.total_seconds() for span in numbers[5:]]
    assert (task, numbers[:5]) == ("trial.record", [4, 2, 1, 1, 5])
    assert seconds == pytest.approx([2.5, 5, 3.5, 6])
    assert failures.rows == [["trial.record", "TimeoutError", 1]]
    assert [row[1:] for row in kinds.figures("jobs", DAYS, buyer).tables[0].rows][2] == [0, 0, 0, 0]


def test_videos_with_their_minutes_and_the_room_they_take(buyer, staff, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    for owner, duration in ((buyer, 90.0), (buyer, None), (staff, 30.0)):
        video = Video.objects.create(owner=owner, title="Harbour", duration=duration)
        original = default_storage.save(f"{video.folder}/original", ContentFile(b"x" * 100))
        Video.objects.filter(pk=video.pk).update(created_at=NOON, original=original)
        if duration:
            default_storage.save(f"{video.folder}/published/720p.mp4", ContentFile(b"x" * 50))
    days, files = kinds.figures("videos", DAYS, None).tables
    assert days.rows[1] == [date(2026, 6, 2), 3, 2, 2.0, 400]
    assert files.rows == [["Original", 3, 300], ["720p", 2, 100]]
    assert kinds.figures("videos", DAYS, buyer).tables[0].rows[1] == [date(2026, 6, 2), 2, 1, 1.5, 250]


def test_a_file_that_is_gone_takes_no_room(buyer, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    video = Video.objects.create(owner=buyer, title="Harbour", original="videos/gone")
    Video.objects.filter(pk=video.pk).update(created_at=NOON)
    assert kinds.figures("videos", DAYS, None).tables[1].rows == []
