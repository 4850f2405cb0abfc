"""Jobs over HTTP: what a job looks like from outside, and what its owner may do with it."""

import json
from datetime import datetime
from math import ceil
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.http import parse_etags
from ninja import Field, Query, Router, Schema
from ninja.errors import HttpError
from pydantic import ConfigDict

from jobs import examples, paging
from jobs.models import TRANSITIONS, Job, State
from jobs.outlook import Span, look_ahead
from jobs.registry import registry

RETRY_AFTER, LONGEST_RETRY_AFTER = 1, 30  # seconds after which a client may ask again
LONGEST_WAIT = 60  # seconds that a request may wait for news

# One event of the stream, by its fields.
EVENT = {"type": "object", "properties": {name: {"type": "string"} for name in ("id", "event", "data")}}
EXAMPLE_EVENT = {"id": "4", "event": "job", "data": json.dumps(examples.job(**examples.RUNNING))}

router = Router(tags=["jobs"])


class ApiRequest(HttpRequest):
    """A request whose caller Ninja has found out."""

    auth: Any  # the user


class ErrorOut(Schema):
    type: str = Field(description="The kind of error, for programs.")
    message: str = Field(description="What is wrong and what can be done, for people.")


class FieldProblem(Schema):
    field: str
    message: str


class Problem(Schema):
    """Why a request was refused, as RFC 9457 says it: `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What is wrong and what can be done, for people.")
    errors: list[FieldProblem] = Field([], description="Where the request itself is wrong.")


class Later(HttpError):
    """Refused for now: the same request may be answered after so many seconds."""

    def __init__(self, status_code: int, message: str, retry_after: int) -> None:
        super().__init__(status_code, message)
        self.headers = {"Retry-After": str(retry_after)}


def problems(*statuses: int) -> dict[int, Any]:
    """The refusals that an operation may answer with, besides those of strangers, of who asks too often, and faults."""
    return dict.fromkeys((401, 429, 500, *statuses), Problem)


class SpanOut(Schema):
    """From the quickest quarter of jobs like this to the slowest, in seconds."""

    low: int
    high: int

    @staticmethod
    def resolve_low(span: Span) -> int:
        return int(span.low)

    @staticmethod
    def resolve_high(span: Span) -> int:
        return ceil(span.high)


class OutlookOut(Schema):
    """What may be expected of a job that has not finished. It changes with time, while the job's version stays.

    The times are learned from finished jobs of the same task and about the same size, and from the job's progress.
    They are empty where too little is known, and promise nothing.
    """

    waiting_for: Literal["worker", "time", "queue_paused"] | None = Field(
        description="A free `worker`; its `time`, which is `run_at`; or, as `queue_paused`, that operators open its "
        "queue again. Empty: it was begun."
    )
    queue_position: int | None = Field(description="1 is next. Where owners take turns it may change either way.")
    more: bool = Field(description="So many wait that its place was not counted.")
    starts_in: SpanOut | None
    remaining: SpanOut | None = Field(description="Until it has finished, if it was begun.")
    longer_than_usual: bool = Field(description="It takes longer than three of four did.")
    words: str = Field(description="All of this for people. Empty: there is nothing to say.")


class JobOut(Schema):
    """A piece of background work and where it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.job()]})

    id: UUID
    task: str
    state: State
    version: int = Field(description="Goes up with every change: of two answers, the higher one is newer.")
    progress: float | None = Field(description="The part done, from 0 to 1, if it is known.")
    note: str
    attempt: int
    max_attempts: int
    run_at: datetime = Field(description="When the next attempt may begin.")
    created_at: datetime
    started_at: datetime | None = Field(description="When the latest attempt began.")
    finished_at: datetime | None
    result: Any | None
    error: ErrorOut | None
    outlook: OutlookOut | None = Field(
        description="What may be expected of it. Empty once it has finished, and wherever it comes with other news: "
        "ask for the job itself."
    )
    links: dict[str, str]

    @staticmethod
    def resolve_links(job: Job) -> dict[str, str]:
        task = registry.get(job.task)
        about = task.links(**job.args) if task and task.links else {}
        return {"self": address(job), **about}


def address(job: Job) -> str:
    return reverse("api:job", args=[job.pk])


def accepted(job: Job) -> HttpResponse:
    """The answer to a request that became a job: where to ask for it, and when."""
    headers = {"Location": address(job), "Retry-After": str(RETRY_AFTER)}
    body = JobOut.from_orm(job).model_dump_json()
    return HttpResponse(body, status=202, headers=headers, content_type="application/json")


def shown(job: Job, if_none_match: str = "") -> HttpResponse:
    """The answer to who asks for a job: the job, or 304 if they have it already."""
    if known(job.version, if_none_match):
        response = HttpResponse(status=304)
    else:
        look_ahead([job])
        response = HttpResponse(JobOut.from_orm(job).model_dump_json(), content_type="application/json")
    response["ETag"] = etag(job.version)
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Cookie"
    if not job.finished:
        response["Retry-After"] = str(retry_after(job))
    return response


def etag(version: int) -> str:
    """Weak (RFC 9110, 8.8.1): the version tells one state of the job from another, not one rendering from another."""
    return f'W/"{version}"'


def known(version: int, if_none_match: str) -> bool:
    """Whether a client that sent this header has this version, by the weak comparison of RFC 9110."""
    return any(tag in ("*", etag(version), f'"{version}"') for tag in parse_etags(if_none_match))


def retry_after(job: Job) -> int:
    """Seconds after which to ask again: the longer it has taken, the less a moment more matters."""
    age = (timezone.now() - max(job.created_at, job.run_at)).total_seconds()
    return round(min(max(age / 10, RETRY_AFTER), LONGEST_RETRY_AFTER))


@router.get(
    "",
    response={200: list[JobOut], **problems(422)},
    summary="Your jobs",
    openapi_extra=paging.DOCUMENTED,
)
def list_jobs(
    request: ApiRequest,
    response: HttpResponse,
    state: State | None = None,
    limit: int = paging.LIMIT,
    after: str = paging.AFTER,
) -> list[Job]:
    """Newest first, a page at a time. The header `Link` leads to the next page."""
    jobs = Job.objects.of(request.auth)
    listed = paging.listed(request, response, jobs.filter(state=state) if state else jobs, after, limit)
    look_ahead(listed)
    return listed


@router.get(
    "/{uuid:job_id}",
    response={200: JobOut, 304: None, **problems(404, 422, 503)},
    url_name="job",
    summary="One job",
    openapi_extra={
        **examples.answering(200, examples.job(**examples.RUNNING)),
        "parameters": [
            {
                "in": "header",
                "name": "If-None-Match",
                "description": "The ETag of the answer that you have. While it is the newest, the answer is 304.",
                "schema": {"type": "string", "pattern": '^((W/)?"\\d+"|\\*)$'},
                "example": 'W/"3"',
            }
        ],
    },
)
def get_job(
    request: ApiRequest,
    job_id: UUID,
    wait: int = Query(0, ge=0, le=LONGEST_WAIT, description="Seconds to wait for news before answering.", example=25),
) -> HttpResponse:
    """Answers at once, or with `wait` as soon as there is something new: with `If-None-Match` when the job's version is
    another one, without it when the job has finished. When the time is up the answer is 304, or the job as it stands.

    Without `wait`, ask again after the `Retry-After` of an unfinished job, which grows with its age.
    """
    job = get_object_or_404(Job, pk=job_id, owner=request.auth)
    return shown(job, request.headers.get("If-None-Match", ""))


@router.get(
    "/{uuid:job_id}/events",
    response={200: None, 204: None, **problems(404, 503)},
    summary="Follow a job",
    openapi_extra={
        "parameters": [
            {
                "in": "header",
                "name": "Last-Event-ID",
                "description": "The id of the last event that you have, as browsers send it. Others come anew.",
                "schema": {"type": "string", "pattern": "^\\d{1,9}$"},
                "example": "3",
            }
        ],
        "responses": {
            200: {
                "description": "Events named `job`, with the version as their id and the job as their data.",
                "content": {"text/event-stream": {"schema": EVENT, "example": EXAMPLE_EVENT}},
            },
            204: {"description": "The job has finished, and you know: nothing more will come."},
        },
    },
)
def job_events(request: ApiRequest, job_id: UUID) -> HttpResponse:
    """Server-sent events (`text/event-stream`): the job now, and again whenever it changes. The stream ends with the
    event in which the job has finished. A stream that broke goes on where it ended, by `Last-Event-ID`.
    """
    job = get_object_or_404(Job, pk=job_id, owner=request.auth)
    return HttpResponse(as_event(job), content_type="text/event-stream")


def as_event(job: Job) -> str:
    look_ahead([job])
    return f"id: {job.version}\nevent: job\ndata: {JobOut.from_orm(job).model_dump_json()}\n\n"


@router.post(
    "/{uuid:job_id}/cancel",
    response={200: JobOut, **problems(403, 404, 409)},
    summary="Cancel a job",
    openapi_extra=examples.answering(200, examples.job(**examples.CANCELLED)),
)
def cancel_job(request: ApiRequest, job_id: UUID) -> Job:
    """A running job stops within seconds. Answers 409 when the job has already finished."""
    return _moved(request, job_id, "cancel")


@router.post(
    "/{uuid:job_id}/requeue",
    response={202: JobOut, **problems(403, 404, 409)},
    summary="Run a dead or cancelled job again",
)
def requeue_job(request: ApiRequest, job_id: UUID) -> HttpResponse:
    """Answers 409 when the job is neither dead nor cancelled."""
    return accepted(_moved(request, job_id, "requeue"))


def _moved(request: ApiRequest, job_id: UUID, verb: Literal["cancel", "requeue"]) -> Job:
    job = get_object_or_404(Job, pk=job_id, owner=request.auth)
    moved = getattr(Job.objects.filter(pk=job.pk), verb)()
    if not moved:
        job.refresh_from_db()
        *others, last = TRANSITIONS[verb][0]
        raise HttpError(409, f"This job is {job.state}. You can {verb} one that is {', '.join(others)} or {last}.")
    return moved[0]
