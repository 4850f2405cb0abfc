"""How operators read through jobs: newest first, a page at a time, each job with the error it met last."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Func, Q, TextField
from django.utils import timezone

from jobs.models import Job, JobQuerySet, State
from jobs.operating.filters import BadFilter

PAGE = 50
BURIED = "buried"  # the error of a job that an operator buried, whatever it met before


class Page(NamedTuple):
    jobs: Sequence[Job]
    older: str  # what `page()` takes to go on, or empty where there are no more


def page(jobs: JobQuerySet, before: str = "", size: int = PAGE) -> Page:
    """A page of these jobs. It begins after the last one of the page before, so the hundredth costs as the first."""
    if before:
        jobs = _older_than(before, jobs)
    shown = jobs.order_by("-created_at", "-pk").select_related("owner").defer("errors", "result")
    found = list(shown.annotate(last_error=LastError("errors"))[: size + 1])
    older = f"{found[size - 1].created_at.isoformat()}_{found[size - 1].pk}" if len(found) > size else ""
    return Page(found[:size], older)


def _older_than(place: str, jobs: JobQuerySet) -> JobQuerySet:
    moment, _, pk = place.partition("_")
    try:
        created_at, last = datetime.fromisoformat(moment.replace(" ", "+")), UUID(pk)
    except ValueError:
        raise BadFilter(f"“{place}” is not a place in the list.") from None
    # The first condition is what the index understands, the second settles the jobs of the same microsecond.
    return jobs.filter(Q(created_at__lt=created_at) | Q(pk__lt=last), created_at__lte=created_at)


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
