"""What is said of a job that has finished, in one line.

The app whose task it is knows best: `videos/messages/transcode_video_succeeded.txt` is a template for the jobs of
`videos.transcode_video`, and is given the `job`. Where there is none, ours says it.
"""

from django.template.loader import render_to_string

from jobs.api import JobOut
from jobs.models import Job


def about(job: Job) -> str:
    app, _, task = job.task.rpartition(".")
    templates = [f"{app}/messages/{task}_{job.state}.txt", f"notifications/messages/job_{job.state}.txt"]
    context = {"job": job, "task": task.replace("_", " ").capitalize()}
    return " ".join(render_to_string(templates, context, using="text").split())


def page_of(job: Job) -> str:
    """The path of the page on which its owner sees what it is about."""
    return JobOut.resolve_links(job).get("page", "/")
