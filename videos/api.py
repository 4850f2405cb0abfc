"""Videos over HTTP."""

from uuid import UUID

from django.db.models.fields.files import FieldFile
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, File, Form, Router, Schema
from ninja.errors import HttpError
from ninja.files import UploadedFile

from files.serving import address
from jobs import examples, idempotency, paging
from jobs.api import ApiRequest, JobOut, accepted, problems
from videos import uploads
from videos.models import Rendition, Video

router = Router(tags=["videos"])

FOLDER = f"/media/eyJ…/videos/{examples.ABOUT}/5a7c"  # of the examples


class RenditionOut(Schema):
    """One size of the video. The address is of its HLS playlist."""

    name: str = Field(examples=["720p"])
    width: int = Field(examples=[1280])
    height: int = Field(examples=[720])
    url: str = Field(examples=[f"{FOLDER}/720p/720p.m3u8"])

    @staticmethod
    def resolve_url(rendition: Rendition) -> str:
        return address(rendition.file, rendition.video.owner_id)


class VideoOut(Schema):
    """A video. It is ready when its job has succeeded: then it has all that follows.

    `playlist_url` is HLS with all renditions, `mp4_url` one file for players that know no HLS, `storyboard_url` WebVTT
    that names the pictures of the seek bar. What these name, they name by relative addresses.
    """

    id: UUID = Field(examples=[examples.ABOUT])
    title: str = Field(examples=["Holiday"])
    duration: float | None = Field(examples=[30.0])
    job: JobOut | None = Field(
        examples=[examples.job(**examples.SUCCEEDED, result={"video": examples.ABOUT, "remark": ""})]
    )
    playlist_url: str | None = Field(examples=[f"{FOLDER}/master.m3u8"])
    mp4_url: str | None = Field(examples=[f"{FOLDER}/video.mp4"])
    poster_url: str | None = Field(examples=[f"{FOLDER}/poster.jpg"])
    storyboard_url: str | None = Field(examples=[f"{FOLDER}/storyboard.vtt"])
    renditions: list[RenditionOut]

    @staticmethod
    def resolve_playlist_url(video: Video) -> str | None:
        return _address(video.playlist, video)

    @staticmethod
    def resolve_mp4_url(video: Video) -> str | None:
        return _address(video.mp4, video)

    @staticmethod
    def resolve_poster_url(video: Video) -> str | None:
        return _address(video.poster, video)

    @staticmethod
    def resolve_storyboard_url(video: Video) -> str | None:
        return _address(video.storyboard, video)


def _address(file: FieldFile, video: Video) -> str | None:
    return address(file, video.owner_id) if file else None


@router.post(
    "",
    response={202: JobOut, **problems(400, 403, 409, 413, 422)},
    summary="Upload a video",
    openapi_extra=idempotency.DOCUMENTED,
)
@idempotency.idempotent
def upload_video(request: ApiRequest, file: File[UploadedFile], title: Form[str] = "") -> HttpResponse:
    """Answers as soon as the file is stored, with the job that transcodes it. Without a title, the file's name is.

    Send an `Idempotency-Key` to be able to send the request again. Large files go better by tus, at `/api/uploads`:
    an upload by tus goes on where the line dropped.
    """
    try:
        video = uploads.receive(request.auth, file, title)
    except uploads.Refused as refusal:
        raise HttpError(refusal.status, str(refusal)) from refusal
    assert video.job
    return accepted(video.job)


@router.get(
    "",
    response={200: list[VideoOut], **problems(422)},
    summary="Your videos",
    openapi_extra=paging.DOCUMENTED,
)
def list_videos(
    request: ApiRequest, response: HttpResponse, limit: int = paging.LIMIT, after: str = paging.AFTER
) -> list[Video]:
    """Newest first, a page at a time. The header `Link` leads to the next page."""
    return paging.listed(request, response, Video.objects.of(request.auth), after, limit)


@router.get("/{uuid:video_id}", response={200: VideoOut, **problems(404)}, summary="One video")
def get_video(request: ApiRequest, video_id: UUID) -> Video:
    return get_object_or_404(Video.objects.of(request.auth), pk=video_id)


@router.delete("/{uuid:video_id}", response={204: None, **problems(403, 404)}, summary="Delete a video")
def delete_video(request: ApiRequest, video_id: UUID) -> tuple[int, None]:
    """Its files go too, and its job is cancelled if it has not finished."""
    get_object_or_404(Video.objects.of(request.auth), pk=video_id).remove()
    return 204, None
