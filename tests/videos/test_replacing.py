"""Another file for a video: until it is published the old one is what people see, whatever happens."""

import base64
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction

from accounts.models import User
from jobs.models import Job, State
from jobs.registry import registry
from jobs.worker import Endings, run
from tests.client import new_email
from tests.media import clip
from tests.waiting import wait_until
from videos import orphans, publishing, resumable, sharing, uploads
from videos.models import Upload, Video, Visibility
from videos.tasks import transcode_video

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def owner(settings, tmp_path, django_user_model):
    settings.MEDIA_ROOT, settings.WORK_DIR = tmp_path / "media", tmp_path / "work"
    settings.UPLOAD_DIR = tmp_path / "arriving"
    settings.UPLOAD_DIR.mkdir()
    return django_user_model.objects.create_user(new_email())


@pytest.fixture
def video(owner, clips, django_capture_on_commit_callbacks) -> Video:
    """One of a second, published and shared."""
    with django_capture_on_commit_callbacks(execute=True):
        made = arrived(owner, clip(clips, seconds=1, size="320x240"))
        work()
    made.refresh_from_db()
    assert made.mp4
    sharing.share(made, Visibility.UNLISTED)
    return made


def arrived(owner, path: Path, replaces: Video | None = None) -> Video:
    """A file that came by tus, all of it."""
    return finished(sent(owner, path, replaces))


def sent(owner, path: Path, replaces: Video | None = None) -> Upload:
    upload = resumable.begin(owner, path.stat().st_size)
    if replaces:
        Upload.objects.filter(pk=upload.pk).update(replaces=replaces)
        upload.refresh_from_db()
    shutil.copy(path, upload.path)
    return upload


def finished(upload: Upload) -> Video:
    resumable.finish(upload)
    return Video.objects.get(pk=upload.video_id)


def work() -> None:
    """Let a worker take what waits."""
    while waiting := list(Job.objects.waiting().order_by("run_at")):
        Job.objects.filter(pk=waiting[0].pk).update(run_at="2000-01-01T00:00Z")
        for job in Job.objects.filter(pk=waiting[0].pk).start("a worker"):
            run(registry[job.task], job, Endings())


def files_of(video: Video) -> dict[str, int]:
    """What is in the storage, with what tells whether it is another."""
    folder = Path(default_storage.path(video.folder))
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def seen(video: Video) -> tuple:
    """What people see of it."""
    video = Video.objects.get(pk=video.pk)
    return video.title, video.link, video.duration, video.mp4.name, [one.file.name for one in video.renditions.all()]


def is_whole(video: Video) -> bool:
    """Whether all that its rows name is there."""
    video = Video.objects.get(pk=video.pk)
    named = [video.playlist, video.mp4, video.poster, video.storyboard, *(one.file for one in video.renditions.all())]
    return all(default_storage.exists(str(file)) for file in named)


def test_the_old_file_stays_until_the_new_one_is_there_and_page_title_and_link_stay(
    video, owner, clips, django_capture_on_commit_callbacks
):
    before, old_files = seen(video), files_of(video)
    with django_capture_on_commit_callbacks(execute=True):
        again = arrived(owner, clip(clips, seconds=2, size="320x240"), replaces=video)
    assert again.pk == video.pk and again.being_replaced
    assert seen(video) == before and is_whole(video)
    assert old_files.items() <= files_of(video).items()

    with django_capture_on_commit_callbacks(execute=True):
        work()

    video.refresh_from_db()
    assert video.job.state == State.SUCCEEDED and not video.replacement
    after = seen(video)
    assert after[:2] == before[:2] and after[2] == pytest.approx(2, abs=0.1)
    assert is_whole(video)
    assert not set(old_files) & set(files_of(video)), "nothing of the old one is left"
    assert [upload.original_name for upload in Upload.objects.filter(owner=owner)] == [video.original.name]
    assert not video.being_replaced


def test_one_that_cannot_be_played_leaves_the_old_one_as_it_was(
    video, owner, tmp_path, django_capture_on_commit_callbacks
):
    before, old_files = seen(video), files_of(video)
    notes = tmp_path / "notes.mp4"
    notes.write_text("Not a video")
    with django_capture_on_commit_callbacks(execute=True):
        arrived(owner, notes, replaces=video)
        work()
    video.refresh_from_db()
    assert video.job.state == State.DEAD and "not a video we can read" in video.job.error["message"]
    assert not video.can_be_tried_again
    assert (seen(video), files_of(video)) == (before, old_files)
    assert Upload.objects.filter(owner=owner).count() == 1, "it counts no more"

    with django_capture_on_commit_callbacks(execute=True):
        uploads.keep(video)
    video.refresh_from_db()
    assert video.job.state == State.SUCCEEDED and not video.being_replaced


def test_to_keep_it_as_it_is_ends_what_is_under_way(video, owner, clips, django_capture_on_commit_callbacks):
    before, old_files = seen(video), files_of(video)
    with django_capture_on_commit_callbacks(execute=True):
        given_up = arrived(owner, clip(clips, seconds=2, size="320x240"), replaces=video).job
        uploads.keep(video)
    given_up.refresh_from_db()
    assert given_up.state == State.CANCELLED
    assert (seen(video), files_of(video)) == (before, old_files)
    Job.objects.filter(pk=given_up.pk).requeue()  # as its owner may, by the API
    with django_capture_on_commit_callbacks(execute=True):
        work()
    given_up.refresh_from_db()
    assert given_up.state == State.DEAD and "was replaced" in given_up.error["message"]
    assert (seen(video), files_of(video)) == (before, old_files)


def test_of_two_new_files_the_later_one_counts(video, owner, clips, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        first = arrived(owner, clip(clips, seconds=2, size="320x240"), replaces=video).job
        arrived(owner, clip(clips, seconds=3, size="320x240"), replaces=video)
        Job.objects.filter(pk=first.pk).requeue()
        work()
    assert seen(video)[2] == pytest.approx(3, abs=0.1)
    assert len([name for name in files_of(video) if name.startswith("original")]) == 1


def test_what_has_not_been_published_yet_is_replaced_at_once(owner, clips, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        video = arrived(owner, clip(clips, seconds=1, size="320x240"))
        first = video.job
        arrived(owner, clip(clips, seconds=2, size="320x240"), replaces=video)
    first.refresh_from_db()
    assert first.state == State.CANCELLED
    assert len(files_of(video)) == 1, "the first file is gone"
    with django_capture_on_commit_callbacks(execute=True):
        work()
    assert seen(video)[2] == pytest.approx(2, abs=0.1)


def test_by_a_form_it_is_replaced_too(video, owner, clips, django_capture_on_commit_callbacks):
    file = SimpleUploadedFile("new.mp4", clip(clips, seconds=2, size="320x240").read_bytes())
    with django_capture_on_commit_callbacks(execute=True):
        assert uploads.receive(owner, file, replaces=video).pk == video.pk
        work()
    assert seen(video)[2] == pytest.approx(2, abs=0.1)
    assert Upload.objects.filter(owner=owner).count() == 1


def test_others_cannot_announce_a_file_for_it(video, django_user_model):
    other = django_user_model.objects.create_user(new_email())
    with pytest.raises(resumable.NotThere):
        announced(other, video.pk)
    assert announced(video.owner, video.pk).replaces == video


@pytest.mark.django_db(transaction=True)
def test_a_file_announced_while_the_video_is_being_deleted_is_refused(owner):
    pk = Video.objects.create(owner=owner, title="Doomed").pk

    def announce() -> Upload:
        try:
            return announced(owner, pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            Video.objects.get(pk=pk).remove()
            announcement = other.submit(announce)
            wait_until(lambda: announcement.done() or waits_for_a_lock())
        with pytest.raises(resumable.NotThere):
            announcement.result()


@pytest.mark.django_db(transaction=True)
def test_its_first_upload_is_given_up_while_its_replacement_is_published(owner):
    video = Video.objects.create(owner=owner, title="Harbour", original="a replacement")
    first = resumable.begin(owner, 5)
    Upload.objects.filter(pk=first.pk).update(video=video)
    video.job = transcode_video.enqueue(video_id=str(video.pk), original="a replacement", owner=owner)
    video.save()

    def give_up() -> None:
        try:
            resumable.remove(first)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=video.job.pk)
            given_up = other.submit(give_up)
            wait_until(lambda: given_up.done() or waits_for_a_lock())
            video.forget_uploads()
        given_up.result()
    assert not Upload.objects.exists()


def announced(owner: User, replaces: UUID) -> Upload:
    return resumable.begin(owner, 5, f"replaces {base64.b64encode(str(replaces).encode()).decode()}")


def waits_for_a_lock() -> bool:
    if connection.vendor != "postgresql":
        return True  # one writer at a time
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return bool(cursor.rowcount)


# --- crashes ---


class Died(BaseException):
    """As a process does: nothing catches it."""


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_crash_while_publishing_leaves_one_of_the_two_whole(
    video, owner, clips, monkeypatch, django_capture_on_commit_callbacks, moment
):
    before = seen(video)
    with django_capture_on_commit_callbacks(execute=True):
        arrived(owner, clip(clips, seconds=2, size="320x240"), replaces=video)

    def die(*arguments: object) -> None:
        published(*arguments)
        raise Died

    published = publishing.publish
    if moment == "before the commit":
        with monkeypatch.context() as patch, pytest.raises(Died):
            patch.setattr(publishing, "publish", die)
            work()
        assert seen(video) == before and is_whole(video)
        Job.objects.filter(state=State.RUNNING).move(
            "release", lease_token=None, lease_until=None
        )  # as the patrol does
        with django_capture_on_commit_callbacks(execute=True):
            work()
    else:
        work()  # nothing is done after the commit, as in a process that died then
    assert seen(video)[2] == pytest.approx(2, abs=0.1) and is_whole(video)

    sweep(video)

    assert is_whole(video)
    video.refresh_from_db()
    assert {name.partition("/")[0] for name in files_of(video)} == {
        Path(video.original.name).name,
        Path(video.published_in).name,
    }


def sweep(video: Video) -> None:
    """What the clock does each hour, a day later."""
    folder = Path(default_storage.path(video.folder))
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - orphans.GRACE.total_seconds() - 60,) * 2)
    list(orphans.remove_orphans())


@pytest.mark.parametrize("moment", ["before the renaming", "after the renaming", "before the commit"])
def test_a_crash_while_the_new_file_becomes_its_own_is_made_good(video, owner, clips, monkeypatch, moment):
    before = seen(video)
    upload = sent(owner, clip(clips, seconds=2, size="320x240"), replaces=video)

    def die(*arguments: object) -> None:
        if moment == "before the commit":
            hand_over(*arguments)
        raise Died

    hand_over = resumable.hand_over
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(resumable, "flush" if moment == "before the renaming" else "hand_over", die)
        resumable.finish(upload)
    assert seen(video) == before
    video.refresh_from_db()
    assert not video.being_replaced
    sweep(video)
    upload = resumable.find(owner, upload.pk)
    assert upload.complete
    resumable.tidy()
    video.refresh_from_db()
    assert video.being_replaced and default_storage.exists(video.replacement.name)
    assert seen(video) == before
