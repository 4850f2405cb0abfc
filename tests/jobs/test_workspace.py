"""What jobs leave in the folder for their work is removed when nobody can need it any more."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from jobs import workspace
from jobs.models import UNFINISHED, Job, State
from jobs.tasks import clean_workspaces
from jobs.worker import work
from tests.trial.tasks import part, record, whole

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def work_dir(settings, tmp_path: Path) -> Path:
    settings.WORK_DIR = tmp_path
    return tmp_path


def left_by(home: Path, state: State, ended: timedelta | None = None) -> Path:
    """The folder of a job that stands so."""
    job = record.enqueue(number=1)
    finished_at = timezone.now() - ended if ended else None
    lease = uuid4() if state == State.RUNNING else None
    Job.objects.filter(pk=job.pk).update(state=state, lease_token=lease, finished_at=finished_at)
    return left(home / str(job.pk))


def left(folder: Path) -> Path:
    (folder / "attempt").mkdir(parents=True)
    (folder / "attempt" / "chunk.mp4").write_bytes(b"moving pictures")
    return folder


@pytest.mark.parametrize("where", [".", "parts", "fetched"])
def test_the_clock_removes_what_nobody_can_need_and_nothing_else(work_dir: Path, where: str, monkeypatch) -> None:
    monkeypatch.setattr(workspace, "BATCH", 3)
    home = work_dir / where
    soon, late = timedelta(hours=23), timedelta(hours=25)
    kept = [left_by(home, state) for state in UNFINISHED] + [left_by(home, State.DEAD, soon), left(home / "others")]
    gone = [left_by(home, State.SUCCEEDED, soon), left_by(home, State.CANCELLED, soon), left_by(home, State.DEAD, late)]
    gone.append(left(home / str(uuid4())))
    job = clean_workspaces.enqueue()
    work([str(job.pk)], job.queue)
    job.refresh_from_db()
    assert (job.state, job.result) == (State.SUCCEEDED, len(gone))
    assert not any(map(Path.exists, gone))
    assert all((path / "attempt" / "chunk.mp4").exists() for path in kept)


def test_a_part_made_while_its_parent_is_cancelled_does_not_stay(work_dir: Path) -> None:
    parent = whole.enqueue(parts=0)
    child = part.job(number=1, seconds=0, broken=False)
    child.parent = parent
    generation = workspace.parts_folder(parent).name
    with workspace.part(child, generation, "chunk") as path:
        path.write_bytes(b"moving pictures")
        Job.objects.filter(pk=parent.pk).cancel()
    assert not [path for path in work_dir.rglob("*") if path.is_file()]
