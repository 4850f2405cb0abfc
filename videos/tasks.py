"""What is done to a video in the background: in one step, or, if it is long, in parts that any worker may take."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from jobs.family import wait_for
from jobs.models import Job
from jobs.task import task
from jobs.workspace import discard_parts, fetched_for, gathered, part, parts_folder, workspace
from videos import orphans, packaging, publishing, transcoding
from videos.models import Video
from videos.packaging import SOUND, Package
from videos.planning import Chunk, Plan, plan
from videos.probing import NotPlayable


def about(video_id: str, original: str = "") -> dict[str, str]:
    return {"video": f"/api/videos/{video_id}", "page": f"/videos/{video_id}"}


@task(queue="media", max_attempts=3, time_limit=timedelta(hours=2), permanent=NotPlayable, links=about)
def transcode_video(job: Job, video_id: str, original: str = "") -> None:
    video = Video.objects.get(pk=video_id)
    with workspace(job) as folder:
        with playable(job, video) as source:
            planned = plan(source)
            package = transcode(job, planned, folder)
        result = {"video": video_id, "remark": planned.media.remark}
        with publishing.stored(package, video, attempt=job.lease_token) as where, job.finishing(result):
            publishing.publish(video, original, package, where)
    discard_parts(job.pk)


def transcode(job: Job, plan: Plan, folder: Path) -> Package:
    """At once, or of parts, for which it waits."""
    if plan.in_one_step:
        return transcoding.transcode(plan, folder, on_progress=job.advance)
    parts = parts_folder(job)
    wait_for(job, [*children(job, plan, generation=parts.name)], note=f"In {len(plan.chunks)} parts")
    job.advance(1.0, "Putting the parts together")
    parts = gathered(parts, folder)
    sound = parts / "sound" / SOUND if plan.media.has_audio else None
    try:
        return packaging.package(plan, [parts / chunk.name for chunk in plan.chunks], sound, folder / "package")
    except packaging.ChunkMissing:  # somebody has cleared the disk
        discard_parts(job.pk)
        raise


def children(job: Job, plan: Plan, generation: str) -> Iterator[Job]:
    which = {**job.args, "generation": generation}
    if plan.media.has_audio:
        yield encode_sound.job(**which, key=f"{generation}:sound")
    for start, end in plan.chunks:
        yield encode_chunk.job(**which, start=start, end=end, key=f"{generation}:{start}-{end}")


@task(queue="media", max_attempts=3, time_limit=timedelta(minutes=30), permanent=NotPlayable)
def encode_chunk(job: Job, video_id: str, generation: str, start: int, end: int | None, original: str = "") -> None:
    chunk = Chunk(start, end)
    with part(job, generation, chunk.name) as folder, playable(job, Video.objects.get(pk=video_id)) as source:
        if folder:
            transcoding.encode(plan(source, examined=True), folder, job.advance, picture=chunk, sound=False)


@task(queue="media", max_attempts=3, time_limit=timedelta(hours=1), permanent=NotPlayable)
def encode_sound(job: Job, video_id: str, generation: str, original: str = "") -> None:
    with part(job, generation, "sound") as folder, playable(job, Video.objects.get(pk=video_id)) as source:
        if folder:
            transcoding.encode(plan(source, examined=True), folder, job.advance, picture=None)


@contextmanager
def playable(job: Job, video: Video) -> Iterator[Path]:
    """The uploaded file that the job is about. If it cannot be played, nothing of it is kept."""
    name = job.args.get("original") or str(video.original.name)
    try:
        with publishing.playable(video, name, fetched_for(job)) as source:
            yield source
    except NotPlayable:
        discard_parts(job.parent_id or job.pk)
        raise


@task(time_limit=timedelta(minutes=30))
def remove_torn_uploads(job: Job) -> int:
    return orphans.remove_torn_uploads()


@task(time_limit=timedelta(hours=1))
def remove_orphans(job: Job) -> int:
    removed = 0
    for number in orphans.remove_orphans():
        removed += number
        job.advance(None, f"{removed} removed")
    return removed


@task()
def tidy_uploads(job: Job) -> int:
    from videos import multipart, resumable  # which enqueue the task above

    return resumable.tidy() + multipart.tidy()
