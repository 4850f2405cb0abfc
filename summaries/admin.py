"""The ledger: each day's mailing, how far it is, and what can be done about it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.admin import ForOperators, operating, posted
from jobs.models import UNFINISHED, State
from summaries import pausing
from summaries.models import Mailing
from summaries.tasks import send_summary


@admin.register(Mailing)
class MailingAdmin(ForOperators):
    """The mails themselves are jobs: the numbers lead to them, and resending is to requeue the dead ones of a day."""

    list_display = ["day", "recipients_so_far", "sent", "waiting", "failed", "left_out", "pruned"]
    list_display_links = None
    list_per_page = 20
    ordering = ["-day"]
    sortable_by = ()
    actions = None
    change_list_template = "admin/summaries/mailing/list.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("pause/", wrap(self.pause), name="summaries_mailing_pause"),
            path("resume/", wrap(self.resume), name="summaries_mailing_resume"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may_operate = request.user.has_perm("jobs.operate_job")
        context = {"title": "Daily summaries", "paused": pausing.paused(), "may_operate": may_operate}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *(["resend"] if request.user.has_perm("jobs.operate_job") else [])]

    @operating
    @posted
    def pause(self, request: HttpRequest) -> HttpResponse:
        pausing.pause(request.user)
        messages.success(request, "Mailings are paused. Mails that are under way are finished, and no other is begun.")
        return redirect("admin:summaries_mailing_changelist")

    @operating
    @posted
    def resume(self, request: HttpRequest) -> HttpResponse:
        pausing.resume(request.user)
        messages.success(request, "Mailings go on within a second or two, as fast as before.")
        return redirect("admin:summaries_mailing_changelist")

    @admin.display(description="Recipients")
    def recipients_so_far(self, mailing: Mailing) -> str:
        return f"{mailing.recipients:,}" if mailing.frozen_at else f"{mailing.recipients:,} so far"

    @admin.display(description="Sent")
    def sent(self, mailing: Mailing) -> str:
        return f"{mailing.tally['sent']:,}"

    @admin.display(description="Waiting")
    def waiting(self, mailing: Mailing) -> str | SafeString:
        return self._linked(mailing, "waiting", ",".join(UNFINISHED))

    @admin.display(description="Failed")
    def failed(self, mailing: Mailing) -> str | SafeString:
        return self._linked(mailing, "failed", State.DEAD)

    @admin.display(description="Left out after all")
    def left_out(self, mailing: Mailing) -> str:
        return f"{mailing.tally['left_out']:,}"

    @admin.display(description="Job pruned")
    def pruned(self, mailing: Mailing) -> str:
        return f"{mailing.tally['pruned']:,}"

    @admin.display(description="", empty_value="")
    def resend(self, mailing: Mailing) -> str | SafeString:
        """To the page that says what would happen, and then has it done by a job, audited."""
        if not mailing.tally["failed"]:
            return ""
        page = reverse("admin:jobs_job_move_many", args=["requeue"])
        return format_html('<a href="{}?{}">Resend failed only…</a>', page, mails_of(mailing, State.DEAD))

    def _linked(self, mailing: Mailing, standing: str, state: str) -> str | SafeString:
        number = mailing.tally[standing]
        if not number:
            return "0"
        page = reverse("admin:jobs_job_changelist")
        return format_html('<a href="{}?{}">{}</a>', page, mails_of(mailing, state), f"{number:,}")


def mails_of(mailing: Mailing, state: str) -> str:
    """The filters that find the jobs of this mailing: those that were enqueued while it was frozen."""
    filters = {"task": send_summary.name, "state": state, "since": mailing.began_at.isoformat()}
    if mailing.frozen_at:
        filters["until"] = mailing.frozen_at.isoformat()
    return urlencode(filters)
