"""Jobs over HTTP: what a job looks like from outside, and what its owner may do with it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, Router, Schema
from ninja.errors import HttpError

from jobs.models import TRANSITIONS, Job, State
from jobs.registry import registry

RETRY_AFTER = 1  # seconds after which a client may ask again
RECENT = 50

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


def problems(*statuses: int) -> dict[int, Any]:
    """The refusals that an operation may answer with, besides that of strangers."""
    return dict.fromkeys((401, *statuses), Problem)


class JobOut(Schema):
    """A piece of background work and where it stands."""

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


@router.get("", response={200: list[JobOut], **problems(422)}, summary="Your recent jobs")
def list_jobs(request: ApiRequest, state: State | None = None) -> Any:
    """The latest fifty, newest first."""
    jobs = Job.objects.of(request.auth)
    return (jobs.filter(state=state) if state else jobs)[:RECENT]


@router.get("/{uuid:job_id}", response={200: JobOut, **problems(404)}, url_name="job", summary="One job")
def get_job(request: ApiRequest, job_id: UUID, response: HttpResponse) -> Job:
    job = get_object_or_404(Job, pk=job_id, owner=request.auth)
    if not job.finished:
        response["Retry-After"] = str(RETRY_AFTER)
    return job


@router.post(
    "/{uuid:job_id}/cancel",
    response={200: JobOut, **problems(403, 404, 409)},
    summary="Cancel a job",
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
