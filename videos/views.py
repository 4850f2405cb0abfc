"""Video pages. The page itself uploads by the API; the form works without JavaScript too."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from files.stored import store
from jobs.models import Job, JobQuerySet
from jobs.outlook import look_ahead
from videos import resumable, tus, uploads
from videos.models import Video

ON_A_PAGE = 24
CHUNK_BYTES = 16 * 1024 * 1024  # in one request of the page: what a broken line can cost, if a proxy keeps it back


@login_required
@require_http_methods(["GET", "POST"])
def library(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _upload(request)
    videos = Paginator(Video.objects.of(request.user), ON_A_PAGE).get_page(request.GET.get("page"))
    look_ahead(video.job for video in videos if video.job)
    limit = {"max_upload_bytes": settings.MAX_UPLOAD_BYTES, "too_large": uploads.too_large()}
    return render(request, "videos/library.html", {"videos": videos, **limit, **_resumable(request)})


def _resumable(request: HttpRequest) -> dict[str, object]:
    """What it takes to go on with what was begun: an object store, or tus, where its client is installed."""
    if store():
        return {"multipart": reverse("api:begin_upload"), "begun": resumable.begun(request.user)}
    if not settings.TUS_CLIENT.exists():
        return {}
    return {"tus": tus.ADDRESS, "chunk_bytes": CHUNK_BYTES, "begun": resumable.begun(request.user)}


def _upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES.get("file")
    if file is None:
        messages.error(request, "Choose a video first.")
        return redirect("videos:library")
    try:
        uploads.receive(request.user, file, request.POST.get("title", ""))
    except uploads.Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("videos:library")


@login_required
@require_GET
def video(request: HttpRequest, video_id: UUID) -> HttpResponse:
    return render(request, "videos/video.html", {"video": _mine(request, video_id)})


@login_required
@require_GET
def card(request: HttpRequest, video_id: UUID) -> HttpResponse:
    """One card of the library, for the page to put in place when the video's job has moved."""
    return render(request, "videos/card.html", {"video": _mine(request, video_id)})


@login_required
@require_POST
def cancel(request: HttpRequest, video_id: UUID) -> HttpResponse:
    _job(request, video_id).cancel()
    return redirect("videos:library")


@login_required
@require_POST
def requeue(request: HttpRequest, video_id: UUID) -> HttpResponse:
    _job(request, video_id).requeue()
    return redirect("videos:library")


@login_required
@require_POST
def delete(request: HttpRequest, video_id: UUID) -> HttpResponse:
    _mine(request, video_id).remove()
    return redirect("videos:library")


def _mine(request: HttpRequest, video_id: UUID) -> Video:
    video = get_object_or_404(Video.objects.of(request.user), pk=video_id)
    look_ahead([video.job] if video.job else [])
    return video


def _job(request: HttpRequest, video_id: UUID) -> JobQuerySet:
    return Job.objects.filter(pk=get_object_or_404(Job, video=video_id, owner=request.user).pk)
