"""The pages about being told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from notifications import bell as ours
from notifications import unsubscribing
from notifications import webhooks as hooks
from notifications.forms import ChoicesForm, EndpointForm, RangeForm
from notifications.models import Channel, Delivery, Endpoint

ON_A_PAGE = 25


@login_required
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest) -> HttpResponse:
    form = ChoicesForm(request.user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        form.save()
        messages.success(request, "Your choices are kept.")
        return redirect("notifications:settings")
    return render(request, "notifications/settings.html", {"form": form, "channels": Channel})


@login_required
@never_cache
@require_GET
def bell(request: HttpRequest) -> HttpResponse:
    """What is on the page is seen, so the next one shows it as seen."""
    notices = ours.recent(request.user)
    ours.look(request.user, notices)
    return render(request, "notifications/notices.html", {"notices": notices})


@login_required
@never_cache
@require_GET
def unseen(request: HttpRequest) -> HttpResponse:
    """The bell alone, for a page to put in place when something has finished."""
    return render(request, "notifications/unseen.html")


# --- endpoints ---


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def webhooks(request: HttpRequest) -> HttpResponse:
    form = EndpointForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            endpoint = hooks.create(request.user, form.cleaned_data["url"], form.cleaned_data["events"])
            return _endpoint(request, endpoint, secret=endpoint.secret)
        except hooks.Refused as refusal:
            form.add_error(None, str(refusal))
    endpoints = Endpoint.objects.filter(owner=request.user)  # type: ignore[misc]
    return render(request, "notifications/webhooks.html", {"form": form, "endpoints": endpoints})


@login_required
@never_cache
@require_GET
def endpoint(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    return _endpoint(request, _mine(request, endpoint_id))


@login_required
@require_POST
def change(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    mine = _mine(request, endpoint_id)
    form = EndpointForm(request.POST)
    if not form.is_valid():
        return _endpoint(request, mine, form=form)
    hooks.change(mine, form.cleaned_data["url"], form.cleaned_data["events"])
    return _done(request, mine, "Your changes are kept.")


@login_required
@never_cache
@require_POST
def rotate(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """Answers with the page itself, not with a redirect to it: the secret is not shown again."""
    mine = _mine(request, endpoint_id)
    hooks.rotate(mine)
    return _endpoint(request, mine, secret=mine.secret)


@login_required
@require_POST
def enable(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    mine = _mine(request, endpoint_id)
    hooks.enable(mine)
    return _done(request, mine, "The endpoint is enabled. What it missed you can send again below.")


@login_required
@require_POST
def disable(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    mine = _mine(request, endpoint_id)
    hooks.disable(mine)
    return _done(request, mine, "The endpoint is disabled. Nothing is sent there.")


@login_required
@require_POST
def delete(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    mine = _mine(request, endpoint_id)
    mine.delete()
    messages.success(request, f"The endpoint {mine} is deleted.")
    return redirect("notifications:webhooks")


# --- deliveries ---


@login_required
@require_POST
def test(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    mine = _mine(request, endpoint_id)
    return _if_enabled(request, mine, lambda: redirect(hooks.test(mine)))


@login_required
@never_cache
@require_GET
def delivery(request: HttpRequest, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    return render(request, "notifications/delivery.html", {"delivery": _delivery(request, endpoint_id, delivery_id)})


@login_required
@require_POST
def replay(request: HttpRequest, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    one = _delivery(request, endpoint_id, delivery_id)

    def again() -> HttpResponse:
        if not hooks.replay(one):
            messages.error(request, "It is being sent just now.")
        return redirect(one)

    return _if_enabled(request, one.endpoint, again)


@login_required
@require_POST
def replay_range(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    mine = _mine(request, endpoint_id)
    form = RangeForm(request.POST)
    if not form.is_valid():
        return _endpoint(request, mine, range_form=form)

    def again() -> HttpResponse:
        asked = form.cleaned_data
        hooks.replay_range(mine, asked["since"], asked["until"], undelivered_only=not asked["everything"])
        return _done(request, mine, "It is being sent again.")

    return _if_enabled(request, mine, again)


def _mine(request: HttpRequest, endpoint_id: UUID) -> Endpoint:
    return get_object_or_404(Endpoint, pk=endpoint_id, owner=request.user)


def _delivery(request: HttpRequest, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    deliveries = _mine(request, endpoint_id).deliveries.select_related("job", "endpoint")
    return get_object_or_404(deliveries, pk=delivery_id)


def _if_enabled(request: HttpRequest, endpoint: Endpoint, act: Callable[[], HttpResponse]) -> HttpResponse:
    if endpoint.disabled_at is None:
        return act()
    messages.error(request, "The endpoint is disabled. Enable it first.")
    return redirect(endpoint)


def _done(request: HttpRequest, endpoint: Endpoint, words: str) -> HttpResponse:
    messages.success(request, words)
    return redirect(endpoint)


def _endpoint(request: HttpRequest, endpoint: Endpoint, **shown: Any) -> HttpResponse:
    now = timezone.now()
    deliveries = Paginator(endpoint.deliveries.select_related("job"), ON_A_PAGE).get_page(request.GET.get("page"))
    page = {
        "endpoint": endpoint,
        "deliveries": deliveries,
        "form": EndpointForm(initial={"url": endpoint.url, "events": endpoint.events}),
        "range_form": RangeForm(initial={"since": now - timedelta(days=1), "until": now}),
        **shown,
    }
    return render(request, "notifications/endpoint.html", page)


# --- unsubscribing ---


@csrf_exempt  # the link is all that a mail reader has
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    found = unsubscribing.read(token)
    if found is None:
        return render(request, "notifications/unsubscribe_unknown.html", status=404)
    user, event = found
    if request.method == "POST":
        unsubscribing.unsubscribe(user, event)
    return render(request, "notifications/unsubscribe.html", {"event": event, "done": request.method == "POST"})
