"""Files that nobody names are removed, and no others."""

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from config.schedule import SCHEDULE
from jobs.models import UNFINISHED, Job, State
from jobs.task import Task
from jobs.worker import work
from tests.client import new_email
from videos import orphans
from videos.models import Rendition, Upload, Video
from videos.tasks import remove_orphans, remove_torn_uploads, transcode_video

pytestmark = pytest.mark.django_db

GRACE = orphans.GRACE.total_seconds()


@pytest.fixture(autouse=True)
def disk(settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "media", tmp_path / "uploads"
    for folder in (settings.MEDIA_ROOT / "videos", settings.FILE_UPLOAD_TEMP_DIR):
        folder.mkdir(parents=True)
    return tmp_path


def run(task: Task) -> int:
    """The job, as the clock makes it. Returns how many files it removed."""
    job = task.enqueue()
    work([str(job.pk)], job.queue)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.errors
    return job.result


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"moving pictures")
    return path


def age(*paths: Path, seconds: float = GRACE + 60) -> None:
    """Nothing happened to them, nor to what is in them, for so long."""
    for path in paths:
        for one in (path, *path.rglob("*")):
            os.utime(one, (time.time() - seconds,) * 2)


def video(state: State = State.SUCCEEDED) -> tuple[Video, Path]:
    """A video that has been published, and its folder."""
    made = Video(owner=User.objects.create_user(new_email()), title="Harbour at four")
    attempt = f"{made.folder}/{uuid4()}"
    made.original, made.playlist, made.poster = f"{made.folder}/original", f"{attempt}/master.m3u8", f"{attempt}/p.jpg"
    made.job = transcode_video.enqueue(video_id=str(made.pk))
    made.save()
    Rendition.objects.create(video=made, name="240p", width=426, height=240, file=f"{attempt}/240p.m3u8")
    lease = uuid4() if state == State.RUNNING else None
    Job.objects.filter(pk=made.job.pk).update(state=state, lease_token=lease)
    for name in (f"{attempt}/master.m3u8", f"{attempt}/240p.m3u8", f"{attempt}/240p.mp4", f"{made.folder}/original"):
        put(Path(made.original.storage.path(name)))
    return made, Path(made.original.path).parent


def test_the_clock_has_them_removed_each_hour() -> None:
    hourly = {entry.task for entry in SCHEDULE.values() if entry.when._orig_hour == "*"}
    assert {remove_torn_uploads.name, remove_orphans.name} <= hourly


# --- what web processes received ---


def test_what_a_killed_web_process_received_is_removed_once_it_is_old(disk: Path) -> None:
    torn, arriving = (put(Path(TemporaryUploadedFile(name, "", 0, None).file.name)) for name in ("a.mov", "noname"))
    resumable = put(disk / "uploads" / "resumable" / str(uuid4()))
    other = put(disk / "uploads" / "README")
    age(torn, other, resumable)
    age(arriving, seconds=GRACE - 60)
    assert run(remove_torn_uploads) == 1
    assert not torn.exists()
    assert all(map(Path.exists, (arriving, other, resumable)))


# --- what is in the storage ---


def test_the_files_of_no_video_are_removed_once_they_are_old(disk: Path) -> None:
    gone, *kept = [disk / "media" / "videos" / name for name in (str(uuid4()), str(uuid4()), "lost+found")]
    for folder in (gone, *kept):
        put(folder / "original")
        put(folder / str(uuid4()) / "master.m3u8")
    age(gone, kept[1])
    age(kept[0], seconds=GRACE - 60)
    assert run(remove_orphans) == 2
    assert not gone.exists()
    assert [len([path for path in folder.rglob("*") if path.is_file()]) for folder in kept] == [2, 2]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD])
def test_of_a_video_its_original_and_what_is_published_are_kept_and_other_attempts_go(state: State) -> None:
    _, folder = video(state)
    kept = [path for path in folder.rglob("*") if path.is_file()]
    superseded = [put(folder / "attempt" / "master.m3u8"), put(folder / "original_x7Fq2")]
    (folder / "empty").mkdir()
    age(folder)
    assert run(remove_orphans) == len(superseded)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(kept)
    assert not (folder / "attempt").exists()
    assert not (folder / "empty").exists()


def test_a_video_whose_job_was_pruned_keeps_its_files() -> None:
    made, folder = video()
    Job.objects.filter(pk=made.job_id).delete()
    age(folder)
    assert run(remove_orphans) == 0


@pytest.mark.parametrize("state", UNFINISHED)
def test_nothing_of_a_video_whose_job_may_go_on_is_touched(state: State) -> None:
    _, folder = video(state)
    put(folder / "attempt" / "master.m3u8")
    age(folder)
    assert run(remove_orphans) == 0
    assert (folder / "attempt" / "master.m3u8").exists()


def test_an_upload_that_is_not_a_video_yet_keeps_what_is_there_already(disk: Path) -> None:
    owner = User.objects.create_user(new_email())
    upload = Upload.objects.create(owner=owner, length=15, expires_at=timezone.now())
    original = put(disk / "media" / "videos" / str(upload.pk) / "original")
    age(original.parent)
    assert run(remove_orphans) == 0
    upload.delete()
    assert run(remove_orphans) == 1
    assert not original.exists()


def test_what_was_moved_there_lately_is_young_however_old_it_is() -> None:
    _, folder = video()
    poster = put(folder / "attempt" / "poster.jpg")
    age(folder)
    age(poster.parent, seconds=60)
    age(poster)
    assert run(remove_orphans) == 0


def test_the_database_is_asked_for_many_folders_at_once(monkeypatch, disk: Path) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert sum(orphans.remove_orphans()) == 0
        return len(asked)

    folders = [video()[1] for _ in range(5)]
    age(disk / "media")
    five = cost()
    monkeypatch.setattr(orphans, "BATCH", 2)
    assert cost() == 3 * five
    assert all(map(Path.exists, folders))
