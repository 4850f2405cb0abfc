"""The operators' place: every job, what became of it, and what can be done about it.

With the permission `view_job` people see all of it, and change nothing. `operate_job` lets them act as well. Nobody
adds, edits or deletes a job here: jobs are enqueued by what causes them, moved by the verbs, deleted when they are old.
"""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from jobs import queues, slots
from jobs.errors import BadArguments
from jobs.models import Entry, Job, PausedQueue, State
from jobs.operating import acts, counting, deadletters, listing, scheduling
from jobs.operating.filters import SEARCHED, BadFilter, Filters
from jobs.operating.timeline import DONE, timeline
from jobs.registry import registry
from jobs.tasks import bulk_move

# What they offer is the schedule's own page, or makes no sense here.
admin.site.unregister([PeriodicTask, CrontabSchedule, IntervalSchedule, SolarSchedule, ClockedSchedule])

seeing = method_decorator(permission_required("jobs.view_job", raise_exception=True))
operating = method_decorator(permission_required(("jobs.view_job", "jobs.operate_job"), raise_exception=True))
posted = method_decorator(require_POST)


class ReadOnly(admin.ModelAdmin):
    """To be looked at, however many rows there are. What may be done is done by actions or on pages of its own."""

    paginator = counting.CappedPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ForOperators(ReadOnly):
    """For who may see jobs."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.view_job")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


class Operating(ForOperators):
    """Pages of our own. Their templates are in the model's folder."""

    def render(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any], status: int = 200
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "may_operate": request.user.has_perm("jobs.operate_job"),
            **context,
        }
        return TemplateResponse(request, f"admin/jobs/{self.opts.model_name}/{template}", context, status=status)


@admin.register(Job)
class JobAdmin(Operating):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("dead/", wrap(self.dead_letters), name="jobs_job_dead"),
            path("move/<str:verb>/", wrap(self.move_many), name="jobs_job_move_many"),
            path("queues/<path:queue>/pause/", wrap(self.pause), name="jobs_job_pause"),
            path("queues/<path:queue>/resume/", wrap(self.resume), name="jobs_job_resume"),
            path("<uuid:pk>/edit/", wrap(self.edit), name="jobs_job_edit"),
            path("<uuid:pk>/move/<str:verb>/", wrap(self.move_one), name="jobs_job_move"),
            *super().get_urls(),
        ]

    # --- looking ---

    @seeing
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """All jobs that match, newest first, under what is in each queue."""
        given = typed(request)
        if job := sought(given.get("search", "")):
            return redirect("admin:jobs_job_change", job.pk)
        before = given.pop("before", "")
        try:
            filters = Filters.read(given)
            jobs = filters.jobs()
            page = listing.page(jobs, before)
        except BadFilter as error:
            return self.refused(request, "list.html", "Jobs", given, error)
        overview = queues.overview()
        context = {
            "page": page,
            "first": not before,
            "count": counting.capped(jobs),
            "queues": overview,
            "queue_names": [queue.name for queue in overview],
            "older": urlencode({**given, "before": page.older}) if page.older else "",
            "verbs": acts.possible(*filters.states()),
        }
        return self.render(request, "list.html", "Jobs", {**self.filtering(given), **context})

    @seeing
    def dead_letters(self, request: HttpRequest) -> HttpResponse:
        """The dead jobs that match, by what they died of."""
        given = {name: value for name, value in typed(request).items() if name != "state"}
        try:
            problems = deadletters.problems(Filters.read(given))
        except BadFilter as error:
            return self.refused(request, "dead.html", "Dead letters", given, error)
        context = {
            "problems": [(one, urlencode({**given, "fingerprint": one.fingerprint})) for one in problems],
            "cut_off": len(problems) == deadletters.SHOWN,
        }
        return self.render(request, "dead.html", "Dead letters", {**self.filtering(given), **context})

    @seeing
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One job: where it stands, what happened to it, and what it was given."""
        job = get_job(object_id)
        context = {
            "job": job,
            "task": registry.get(job.task),
            "links": links(job),
            "took": listing.took(job),
            "timeline": timeline(job),
            "verbs": acts.possible(job.state),
            "parts": job.children.order_by("state").values_list("state").annotate(number=Count("pk")),
        }
        return self.render(request, "job.html", str(job), context)

    # --- acting on one ---

    @operating
    @posted
    def move_one(self, request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
        moved = acts.move(Job.objects.filter(pk=get_job(pk).pk), known(verb), request.user)
        self.tell(request, pk, verb, bool(moved))
        return redirect("admin:jobs_job_change", pk)

    @operating
    def edit(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Requeue a job with other arguments."""
        job = get_job(pk)
        form = ArgumentsForm(job, request.POST or None)
        if form.is_valid():
            moved = acts.requeue_with(job, form.cleaned_data["args"], request.user)
            self.tell(request, pk, "requeue", bool(moved))
            return redirect("admin:jobs_job_change", pk)
        context = {"job": job, "form": form, "task": registry.get(job.task)}
        return self.render(request, "edit.html", "Requeue with edited arguments", context)

    def tell(self, request: HttpRequest, pk: UUID, verb: str, moved: bool) -> None:
        if moved:
            messages.success(request, f"{DONE[verb]}.")
        else:
            state = get_job(pk).get_state_display().lower()
            messages.warning(request, f"It had changed in the meantime: it is {state}, so there is nothing to {verb}.")

    # --- acting on all that match ---

    @operating
    def move_many(self, request: HttpRequest, verb: str) -> HttpResponse:
        """First what would happen; once that is confirmed, a job that does it."""
        known(verb)
        try:
            filters = Filters.read(typed(request))
        except BadFilter as error:
            messages.error(request, str(error))
            return redirect("admin:jobs_job_changelist")
        forecast = acts.forecast(filters, verb)
        if request.method == "POST":
            return self.start_moving(request, filters, verb, forecast.number)
        context = {
            "verb": verb,
            "forecast": forecast,
            "filters": filters.written(),
            "searched": SEARCHED if filters.search else None,
            "paused": PausedQueue.objects.filter(name=bulk_move.queue).first(),
            "back": f"{reverse('admin:jobs_job_changelist')}?{request.GET.urlencode()}",
        }
        return self.render(request, "move.html", f"{verb.capitalize()} all that match", context)

    def start_moving(self, request: HttpRequest, filters: Filters, verb: str, number: int) -> HttpResponse:
        with transaction.atomic():
            bulk = bulk_move.enqueue(verb=verb, filters=filters.written(), owner=request.user)
            acts.record(request.user, [bulk], f"{verb} all", filters=filters.written(), expected=number)
        messages.success(request, f"This job does it: {number:,} to {verb}.")
        return redirect("admin:jobs_job_change", bulk.pk)

    # --- acting on queues ---

    @operating
    @posted
    def pause(self, request: HttpRequest, queue: str) -> HttpResponse:
        acts.pause(queue, request.user)
        messages.success(request, f"The queue {queue} is paused. What runs goes on, and nothing new is started.")
        return redirect("admin:jobs_job_changelist")

    @operating
    @posted
    def resume(self, request: HttpRequest, queue: str) -> HttpResponse:
        acts.resume(queue, request.user)
        messages.success(request, f"The queue {queue} goes on within a second or two.")
        return redirect("admin:jobs_job_changelist")

    # --- what they share ---

    def filtering(self, given: dict[str, str]) -> dict[str, Any]:
        """What the form of filters shows, and what its links carry on."""
        given = {name: value for name, value in given.items() if value}
        return {
            "given": given,
            "query": urlencode(given),
            "states": State,
            "tasks": sorted({*registry, *filter(None, [given.get("task")])}),
            "queue_names": queues.names,  # called where the page needs it
            "searched": SEARCHED if given.get("search") else None,
        }

    def refused(
        self, request: HttpRequest, template: str, title: str, given: dict[str, str], error: BadFilter
    ) -> HttpResponse:
        """The page without jobs: under a filter that was misread it would show others than were meant."""
        context = {**self.filtering(given), "refused": str(error)}
        return self.render(request, template, title, context, status=400)


@admin.register(Entry)
class EntryAdmin(Operating):
    """The schedule. Code says what is in it; operators pause an entry, change its time, and run it now."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/pause/", wrap(self.pause), name="jobs_entry_pause"),
            path("<int:pk>/resume/", wrap(self.resume), name="jobs_entry_resume"),
            path("<int:pk>/run/", wrap(self.run), name="jobs_entry_run"),
            path("<int:pk>/time/", wrap(self.change_time), name="jobs_entry_time"),
            *super().get_urls(),
        ]

    @seeing
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"health": scheduling.health(), "lines": scheduling.overview()}
        return self.render(request, "list.html", "Schedule", context)

    @seeing
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One entry: when it is due, and what became of each slot."""
        line = get_line(object_id)
        slots, older = scheduling.history(line.entry, moment(request.GET.get("before", "")))
        context = {"line": line, "slots": slots, "older": older, "health": scheduling.health()}
        return self.render(request, "entry.html", line.entry.name, context)

    @operating
    @posted
    def pause(self, request: HttpRequest, pk: int) -> HttpResponse:
        entry = get_line(pk).entry
        if acts.pause_entry(entry, request.user):
            messages.success(request, f"{entry} is paused. A job that it has made goes on.")
        return redirect("admin:jobs_entry_change", pk)

    @operating
    @posted
    def resume(self, request: HttpRequest, pk: int) -> HttpResponse:
        entry = get_line(pk).entry
        if acts.resume_entry(entry, request.user):
            messages.success(request, f"{entry} goes on with its next slot.")
        return redirect("admin:jobs_entry_change", pk)

    @operating
    @posted
    def run(self, request: HttpRequest, pk: int) -> HttpResponse:
        entry, one, *_ = get_line(pk)
        if one is None:
            messages.error(request, f"Code does not declare {entry} any more, so there is nothing to run.")
        elif job := acts.run_now(entry, one, request.user):
            messages.success(request, format_html('<a href="{}">This job</a> does it.', job_address(job)))
        else:
            messages.warning(request, "Its job before is unfinished, and they may not overlap. Cancel that one first.")
        return redirect("admin:jobs_entry_change", pk)

    @operating
    def change_time(self, request: HttpRequest, pk: int) -> HttpResponse:
        line = get_line(pk)
        form = TimesForm(line.times, request.POST or None)
        if form.is_valid():
            acts.change_times(line.entry, form.cleaned_data["times"], request.user)
            messages.success(request, f"{line.entry} has another time, from its next slot on.")
            return redirect("admin:jobs_entry_change", pk)
        context = {"line": line, "form": form, "timezones": slots.timezones()}
        return self.render(request, "time.html", "Change time", context)


class TimesForm(forms.Form):
    """When an entry is due, as people write it."""

    when = forms.CharField(max_length=150)
    timezone = forms.CharField(max_length=50, initial="UTC", required=False)

    def __init__(self, times: slots.Times, data: Any = None) -> None:
        super().__init__(data, initial={"when": str(times), "timezone": times.timezone})

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if "when" in given and "timezone" in given:
            try:
                given["times"] = slots.parse(given["when"], given["timezone"] or "UTC")
            except ValueError as error:
                raise forms.ValidationError(str(error)) from None
        return given


class ArgumentsForm(forms.Form):
    """The arguments of a job as JSON, checked as `enqueue()` checks them."""

    args = forms.CharField(
        label="Arguments", widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "class": "vLargeTextField"})
    )

    def __init__(self, job: Job, data: Any = None) -> None:
        self.job = job
        super().__init__(data, initial={"args": json.dumps(job.args, indent=2, ensure_ascii=False)})

    def clean_args(self) -> dict[str, Any]:
        try:
            args = json.loads(self.cleaned_data["args"])
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON. {error}") from None
        if not isinstance(args, dict):
            raise forms.ValidationError("Write an object: the names of the arguments and their values.")
        if self.job.task not in registry:
            raise forms.ValidationError(f"There is no task {self.job.task} any more.")
        try:
            registry[self.job.task].check(args)
        except BadArguments as error:
            raise forms.ValidationError(str(error)) from None
        return args


@admin.register(LogEntry)
class AuditLog(ForOperators):
    """Everything that operators did, and all other changes made in the admin. To be read only."""

    list_display = ["at", "user", "did", "what", "details"]
    list_display_links = None
    actions = None
    list_select_related = ["user", "content_type"]
    search_fields = ["=object_id", "=user__email"]
    search_help_text = "The id of a job, the name of a queue, or the mail address of an operator."
    ordering = ["-pk"]
    sortable_by = ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Audit log", **(extra_context or {})})

    @admin.display(description="When")
    def at(self, entry: LogEntry) -> str:
        return f"{entry.action_time:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Verb")
    def did(self, entry: LogEntry) -> str:
        return acts.act(entry).verb

    @admin.display(description="Job, queue or other object")
    def what(self, entry: LogEntry) -> str | SafeString:
        url = entry.get_admin_url()
        return format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr

    @admin.display(empty_value="")
    def details(self, entry: LogEntry) -> str:
        details = acts.act(entry).details
        if entry.change_message.startswith("{"):
            return json.dumps(details, ensure_ascii=False) if details else ""
        return entry.get_change_message()


def typed(request: HttpRequest) -> dict[str, str]:
    """What was chosen in a form of ours. Ticked several times, it counts as a list."""
    fields = request.POST if request.method == "POST" else request.GET
    return {name: ",".join(values) for name, values in fields.lists() if name != "csrfmiddlewaretoken"}


def sought(text: str) -> Job | None:
    """The job whose id was typed into the search: however old it is, it was meant."""
    try:
        return Job.objects.filter(pk=UUID(text)).only("pk").first()
    except ValueError:
        return None


def get_job(pk: UUID | str) -> Job:
    try:
        return get_object_or_404(Job.objects.select_related("owner"), pk=UUID(str(pk)))
    except ValueError:
        raise Http404 from None


def get_line(pk: int | str) -> scheduling.Line:
    line = scheduling.find(int(pk)) if str(pk).isdecimal() else None
    if line is None:
        raise Http404
    return line


def moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None


def job_address(job: Job) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk])


def known(verb: str) -> str:
    if verb not in acts.VERBS:
        raise Http404
    return verb


def links(job: Job) -> dict[str, str]:
    """What the job is about. Nothing when its task has changed since, and does not take its arguments any more."""
    task = registry.get(job.task)
    if task is None or task.links is None:
        return {}
    try:
        task.check(job.args)
    except BadArguments:
        return {}
    return task.links(**job.args)
