"""How operators read through jobs: newest first, a page at a time, each job with the error it met last."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Func, TextField
from django.utils import timezone

from jobs import paging
from jobs.models import Job, JobQuerySet, State
from jobs.operating.filters import BadFilter

PAGE = 50
BURIED = "buried"  # the error of a job that an operator buried, whatever it met before


class Page(NamedTuple):
    jobs: Sequence[Job]
    older: str  # what `page()` takes to go on, or empty where there are no more


def page(jobs: JobQuerySet, before: str = "", size: int = PAGE) -> Page:
    """A page of these jobs. Raises BadFilter."""
    shown = jobs.select_related("owner").defer("errors", "result").annotate(last_error=LastError("errors"))
    try:
        return Page(*paging.page(shown, before, size))
    except paging.BadPlace as error:
        raise BadFilter(str(error)) from error


class LastError(Func):
    """The message of the last failed attempt, without fetching the others and their tracebacks."""

    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="%(expressions)s #>> '{-1,message}'")

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="json_extract(%(expressions)s, '$[#-1].message')")


def took(job: Job) -> timedelta | None:
    """How long the latest attempt took, or has taken so far, where that can be told."""
    if job.started_at is None or not job.attempt:
        return None
    if job.state == State.RUNNING:
        return timezone.now() - job.started_at
    if job.state in (State.SUCCEEDED, State.DEAD) and job.finished_at:
        return job.finished_at - job.started_at
    return None


def wrong(job: Job) -> str:
    """What is wrong with a job of a page, if something is. What its owner was told may say less."""
    if not job.error:
        return ""
    last = "" if job.error["type"] == BURIED else getattr(job, "last_error", "")
    return f"{job.error['type']}: {last or job.error['message']}"
