"""Video pages. The page itself uploads by the API; the form works without JavaScript too."""

from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from files.stored import store
from jobs.models import Job, JobQuerySet
from jobs.outlook import look_ahead
from videos import resumable, sharing, tus, uploads
from videos.models import Standing, Video, VideoQuerySet, Visibility

ON_A_PAGE = 24
CHUNK_BYTES = 16 * 1024 * 1024  # in one request of the page: what a broken line can cost, if a proxy keeps it back


@login_required
@require_http_methods(["GET", "POST"])
def library(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _upload(request)
    words, standing = request.GET.get("q", ""), request.GET.get("standing", "")
    if standing not in Standing:
        standing = ""
    videos = _page(request, Video.objects.of(request.user).matching(words, standing))
    look_ahead(video.job for video in videos if video.job)
    context = {"videos": videos, "q": words, "standing": standing, "standings": Standing.choices}
    return render(request, "videos/library.html", {**context, **_uploading(request)})


def _page(request: HttpRequest, videos: VideoQuerySet) -> Page[Video]:
    return Paginator(videos, ON_A_PAGE).get_page(request.GET.get("page"))


def _uploading(request: HttpRequest, replaces: Video | None = None) -> dict[str, object]:
    """What it takes to send a file, and to go on with what was begun: a store, or tus, if its client is installed."""
    limit = {"max_upload_bytes": settings.MAX_UPLOAD_BYTES, "too_large": uploads.too_large()}
    begun = resumable.begun(request.user, replaces)
    if store():
        return {**limit, "multipart": reverse("api:begin_upload"), "begun": begun}
    if not settings.TUS_CLIENT.exists():
        return limit
    return {**limit, "tus": tus.ADDRESS, "chunk_bytes": CHUNK_BYTES, "begun": begun}


def _upload(request: HttpRequest, replaces: Video | None = None) -> HttpResponse:
    file = request.FILES.get("file")
    try:
        if file is None:
            raise uploads.Refused("Choose a video first.")
        uploads.receive(request.user, file, request.POST.get("title", ""), replaces)
    except uploads.Refused as refusal:
        messages.error(request, str(refusal))
    return redirect(replaces or "videos:library")


@login_required
@require_GET
def video(request: HttpRequest, video_id: UUID) -> HttpResponse:
    video = _mine(request, video_id)
    shared = {"visibilities": Visibility.choices, "share_url": sharing.address(video)}
    return render(request, "videos/video.html", {"video": video, **shared, **_uploading(request, video)})


@login_required
@require_POST
def share(request: HttpRequest, video_id: UUID) -> HttpResponse:
    video = _mine(request, video_id)
    if (visibility := request.POST.get("visibility", "")) in Visibility:
        sharing.share(video, Visibility(visibility))
    return redirect(video)


@login_required
@require_POST
def renew_link(request: HttpRequest, video_id: UUID) -> HttpResponse:
    video = _mine(request, video_id)
    with suppress(sharing.NotShared):  # it has no link, which the page says
        sharing.renew_link(video)
    return redirect(video)


@login_required
@require_POST
def replace(request: HttpRequest, video_id: UUID) -> HttpResponse:
    return _upload(request, replaces=_mine(request, video_id))


@login_required
@require_POST
def keep(request: HttpRequest, video_id: UUID) -> HttpResponse:
    video = _mine(request, video_id)
    uploads.keep(video)
    return redirect(video)


# --- for everybody ---


@require_GET
def public(request: HttpRequest) -> HttpResponse:
    return render(request, "videos/public.html", {"videos": _page(request, Video.objects.public())})


@require_GET
@never_cache
def watch(request: HttpRequest, link: str) -> HttpResponse:
    """What a link leads to: a video, and nothing else of its owner."""
    video = get_object_or_404(Video, link=link)
    response = render(request, "videos/watch.html", {"video": video})
    if video.visibility != Visibility.PUBLIC:
        response["X-Robots-Tag"] = "noindex"
    return response


# --- of its owner ---


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
