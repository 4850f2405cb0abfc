from datetime import timedelta

from jobs.models import Job
from jobs.task import task
from jobs.workspace import workspace
from videos import orphans, publishing, transcoding
from videos.models import Video
from videos.probing import NotPlayable


def about(video_id: str) -> dict[str, str]:
    return {"video": f"/api/videos/{video_id}", "page": f"/videos/{video_id}"}


@task(queue="media", max_attempts=3, time_limit=timedelta(hours=2), permanent=NotPlayable, links=about)
def transcode_video(job: Job, video_id: str) -> None:
    video = Video.objects.get(pk=video_id)
    with workspace(job) as folder:
        with publishing.playable(video) as source:
            package = transcoding.transcode(source, folder, on_progress=job.advance)
        with publishing.stored(package, video, attempt=job.lease_token) as where, job.finishing({"video": video_id}):
            publishing.publish(video, package, where)


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
