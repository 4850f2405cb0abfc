"""The page of reports: ask for one, have a look at its figures first, and see how the latest fare."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs.models import Job, JobQuerySet
from jobs.outlook import look_ahead
from reports import charts, kinds, requesting
from reports.figures import Table, written
from reports.models import Detail, Format, Kind, Report
from reports.period import Period

ON_A_PAGE = 24
PREVIEWED = 92  # days at most: what is looked at while somebody waits for the page


class Day(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class ReportForm(forms.Form):
    kind = forms.ChoiceField(label="About", choices=Kind.choices)
    first_day = forms.DateField(label="From", widget=Day())
    last_day = forms.DateField(label="To", widget=Day())
    format = forms.ChoiceField(choices=Format.choices)
    detail = forms.ChoiceField(
        choices=Detail.choices,
        help_text="Every order can be had of sales, as CSV.",
        required=False,
    )

    def period(self) -> Period:
        return Period(self.cleaned_data["first_day"], self.cleaned_data["last_day"])

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            try:
                requesting.check(self.period())
            except requesting.Refused as refusal:
                self.add_error("last_day", str(refusal))
        return self.cleaned_data


@login_required
@require_http_methods(["GET", "POST"])
def reports(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _ask(request)
    form = ReportForm({**usual(), **request.GET.dict()})
    return _page(request, form)


def usual() -> dict[str, Any]:
    """The last thirty days that are over."""
    yesterday = timezone.now().date() - timedelta(days=1)
    first = yesterday - timedelta(days=29)
    return {"kind": Kind.SALES, "first_day": first, "last_day": yesterday, "format": Format.PDF, "detail": "totals"}


def _ask(request: HttpRequest) -> HttpResponse:
    form = ReportForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    asked = form.cleaned_data
    try:
        requesting.ask(request.user, asked["kind"], form.period(), asked["format"], asked["detail"] or Detail.TOTALS)
    except requesting.Refused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, form, status=409 if isinstance(refusal, requesting.TooMany) else 422)
    return redirect("reports:reports")


def _page(request: HttpRequest, form: ReportForm, status: int = 200) -> HttpResponse:
    found = Paginator(Report.objects.of(request.user), ON_A_PAGE).get_page(request.GET.get("page"))
    look_ahead(report.job for report in found)
    looked = preview(form, request.user) if form.is_valid() else {}
    return render(request, "reports/reports.html", {"form": form, "reports": found, **looked}, status=status)


def preview(form: ReportForm, user: Any) -> dict[str, Any]:
    """The chart of the last days of what is asked for."""
    asked = form.period()
    period = Period(max(asked.first, asked.last - timedelta(days=PREVIEWED - 1)), asked.last)
    table = kinds.daily(form.cleaned_data["kind"], period, None if user.is_staff else user)
    cut = f"The last {PREVIEWED} days of it; the report has them all." if period != asked else ""
    return {"drawing": charts.draw(table), "table": in_words(table), "previewed": period, "cut": cut}


def in_words(table: Table) -> dict[str, Any]:
    assert table.chart
    rows = [
        [written(column.kind, cell) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows[: table.chart.rows]
    ]
    return {"names": [column.name for column in table.columns], "rows": rows}


@login_required
@require_GET
def report(request: HttpRequest, report_id: UUID) -> HttpResponse:
    return render(request, "reports/report.html", {"report": _mine(request, report_id)})


@login_required
@require_GET
def card(request: HttpRequest, report_id: UUID) -> HttpResponse:
    """One card of the list, for the page to put in place when the report's job has moved."""
    return render(request, "reports/card.html", {"report": _mine(request, report_id)})


@login_required
@require_POST
def again(request: HttpRequest, report_id: UUID) -> HttpResponse:
    """Ask for the same once more, as its file has expired."""
    report = _mine(request, report_id)
    try:
        requesting.ask(request.user, report.kind, report.period, report.format, report.detail)
    except requesting.Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("reports:reports")


@login_required
@require_POST
def cancel(request: HttpRequest, report_id: UUID) -> HttpResponse:
    _job(request, report_id).cancel()
    return redirect("reports:reports")


@login_required
@require_POST
def requeue(request: HttpRequest, report_id: UUID) -> HttpResponse:
    _job(request, report_id).requeue()
    return redirect("reports:reports")


def _mine(request: HttpRequest, report_id: UUID) -> Report:
    report = get_object_or_404(Report.objects.of(request.user), pk=report_id)
    look_ahead([report.job])
    return report


def _job(request: HttpRequest, report_id: UUID) -> JobQuerySet:
    return Job.objects.filter(pk=_mine(request, report_id).job_id, owner=request.user.pk)
