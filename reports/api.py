"""Reports over HTTP."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.errors import HttpError

from files.serving import address
from jobs import examples, idempotency, paging
from jobs.api import ApiRequest, JobOut, accepted, problems, retry_after
from jobs.models import State
from reports import requesting
from reports.models import EXPIRED, Detail, Format, Kind, Report
from reports.period import Period

router = Router(tags=["reports"])

MAKING = {"report": f"/api/reports/{examples.ABOUT}", "page": f"/reports/{examples.ABOUT}"}  # of the examples


class ReportIn(Schema):
    kind: Kind
    first_day: date = Field(alias="from", description="The first day, in UTC.", examples=["2026-11-01"])
    last_day: date = Field(alias="to", description="The last day, in UTC. It is included.", examples=["2026-11-24"])
    format: Format
    detail: Detail = Field(Detail.TOTALS, description="`rows` is every order, for sales as CSV. Else the totals.")


class ReportOut(Schema):
    """A report. Its file is at `url` once its status is `succeeded`, for as long as it has not `expired`."""

    id: UUID = Field(examples=[examples.ABOUT])
    status: State | Literal["expired"] = Field(
        description="The state of its job, or `expired`: ask for it again.", examples=["succeeded"]
    )
    url: str | None = Field(
        description="Where you, and nobody else, can fetch the file for the next twelve hours.",
        examples=["/media/eyJ…/reports/sales-2026-11-01-2026-11-24.pdf"],
    )
    kind: Kind
    first_day: date = Field(serialization_alias="from", examples=["2026-11-01"])
    last_day: date = Field(serialization_alias="to", examples=["2026-11-24"])
    format: Format
    detail: Detail
    everybody: bool = Field(
        description="Of the whole site, as staff get it. Else of what is your own.", examples=[False]
    )
    size: int | None = Field(description="Of the file, in bytes.", examples=[2048])
    created_at: datetime
    expires_at: datetime | None = Field(description="When the file is removed.", examples=["2026-12-01T12:00:00Z"])
    job: JobOut = Field(examples=[examples.job("reports.make_report", MAKING, **examples.SUCCEEDED)])

    @staticmethod
    def resolve_url(report: Report, context: Any) -> str | None:
        there = report.status == State.SUCCEEDED
        return address(report.file, context["request"].auth.pk) if there else None


@router.post(
    "",
    response={202: JobOut, **problems(400, 403, 409, 413, 422)},
    summary="Ask for a report",
    openapi_extra={
        **idempotency.DOCUMENTED,
        **examples.answering(202, examples.job("reports.make_report", MAKING)),
    },
)
@idempotency.idempotent
def ask_for_report(request: ApiRequest, asked: ReportIn) -> HttpResponse:
    """Answers at once, with the job that makes it. Its link `report` leads to the report.

    Staff get the figures of the whole site, anybody else those of what is their own. Of one person, five may be in the
    making at once: one more is answered with 409. Send an `Idempotency-Key` to be able to send the request again.
    """
    period = Period(asked.first_day, asked.last_day)
    try:
        report = requesting.ask(request.auth, asked.kind, period, asked.format, asked.detail)
    except requesting.Refused as refusal:
        raise HttpError(409 if isinstance(refusal, requesting.TooMany) else 422, str(refusal)) from refusal
    return accepted(report.job)


@router.get(
    "",
    response={200: list[ReportOut], **problems(422)},
    by_alias=True,
    summary="Your reports",
    openapi_extra=paging.DOCUMENTED,
)
def list_reports(
    request: ApiRequest, response: HttpResponse, limit: int = paging.LIMIT, after: str = paging.AFTER
) -> list[Report]:
    """Newest first, a page at a time. Staff also see those that the clock has made."""
    return paging.listed(request, response, Report.objects.of(request.auth), after, limit)


@router.get("/{uuid:report_id}", response={200: ReportOut, **problems(404)}, by_alias=True, summary="One report")
def get_report(request: ApiRequest, report_id: UUID, response: HttpResponse) -> Report:
    report = get_object_or_404(Report.objects.of(request.auth), pk=report_id)
    if report.status != EXPIRED and not report.job.finished:
        response["Retry-After"] = str(retry_after(report.job))
    return report
