"""What a summary says."""

from datetime import date
from typing import Any

from jobs.models import Job, State
from notifications import words


def summary(day: date, succeeded: int, dead: int, jobs: list[str]) -> dict[str, Any]:
    """For the templates. The jobs stand where they stand now: what was mended since needs nobody any more."""
    found = Job.objects.filter(pk__in=jobs).order_by("-finished_at")
    listed = {state: [_line(job) for job in found if job.state == state] for state in (State.DEAD, State.SUCCEEDED)}
    return {
        "day": day,
        "dead": listed[State.DEAD],
        "succeeded": listed[State.SUCCEEDED],
        "more": max(0, succeeded + dead - len(jobs)),
    }


def _line(job: Job) -> dict[str, str]:
    problem = job.error["message"] if job.error else ""
    return {"words": words.about(job), "path": words.page_of(job), "problem": problem}
