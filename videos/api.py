"""Videos over HTTP."""

from datetime import datetime
from uuid import UUID

from django.db.models.fields.files import FieldFile
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, File, Form, Query, Router, Schema
from ninja.errors import HttpError
from ninja.files import UploadedFile

from files.serving import address
from jobs import examples, idempotency, paging
from jobs.api import ApiRequest, JobOut, accepted, problems
from videos import multipart as parts
from videos import resumable, sharing, uploads
from videos.models import Rendition, Standing, Upload, Video, Visibility

router = Router(tags=["videos"])
multipart = Router(tags=["uploads"])

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
    """A video. It is ready when it has the addresses that follow: when its first job has succeeded.

    `job` is about what was uploaded last. While that is to replace the video's file, all else is as it was.
    `playlist_url` is HLS with all renditions, `mp4_url` one file for players that know no HLS, `storyboard_url` WebVTT
    that names the pictures of the seek bar. What these name, they name by relative addresses.
    """

    id: UUID = Field(examples=[examples.ABOUT])
    title: str = Field(examples=["Holiday"])
    duration: float | None = Field(examples=[30.0])
    job: JobOut | None = Field(
        examples=[examples.job(**examples.SUCCEEDED, result={"video": examples.ABOUT, "remark": ""})]
    )
    visibility: Visibility = Field(examples=["unlisted"])
    share_url: str | None = Field(
        description="The page for others, without a login. None while it is private.",
        examples=["https://nightshift.example/v/Zk3vX0c2QmWb7tYd9sLq4A"],
    )
    playlist_url: str | None = Field(examples=[f"{FOLDER}/master.m3u8"])
    mp4_url: str | None = Field(examples=[f"{FOLDER}/video.mp4"])
    poster_url: str | None = Field(examples=[f"{FOLDER}/poster.jpg"])
    storyboard_url: str | None = Field(examples=[f"{FOLDER}/storyboard.vtt"])
    renditions: list[RenditionOut]

    @staticmethod
    def resolve_share_url(video: Video) -> str | None:
        return sharing.address(video)

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
    response={202: JobOut, **problems(400, 403, 409, 413, 422, 503)},
    summary="Upload a video",
    openapi_extra=idempotency.DOCUMENTED,
)
@idempotency.idempotent
def upload_video(request: ApiRequest, file: File[UploadedFile], title: Form[str] = "") -> HttpResponse:
    """Answers as soon as the file is stored, with the job that transcodes it. Without a title, the file's name is.

    Send an `Idempotency-Key` to be able to send the request again. Large files go better by tus, at `/api/uploads`:
    an upload by tus goes on where the line dropped.
    """
    video = uploads.receive(request.auth, file, title)
    assert video.job
    return accepted(video.job)


class Sharing(Schema):
    """Who may see a video besides its owner: nobody, whoever has the link, or everybody."""

    visibility: Visibility = Field(examples=["unlisted"])


@router.get(
    "",
    response={200: list[VideoOut], **problems(422)},
    summary="Your videos",
    openapi_extra=paging.DOCUMENTED,
)
def list_videos(
    request: ApiRequest,
    response: HttpResponse,
    q: str = Query("", max_length=200, description="Words that the title has."),
    standing: Standing | None = None,
    limit: int = paging.LIMIT,
    after: str = paging.AFTER,
) -> list[Video]:
    """Newest first, a page at a time. The header `Link` leads to the next page."""
    videos = Video.objects.of(request.auth).matching(q, standing or "")
    return paging.listed(request, response, videos, after, limit)


@router.get("/{uuid:video_id}", response={200: VideoOut, **problems(404)}, summary="One video")
def get_video(request: ApiRequest, video_id: UUID) -> Video:
    return _mine(request, video_id)


@router.patch(
    "/{uuid:video_id}", response={200: VideoOut, **problems(400, 403, 404, 413, 422)}, summary="Share a video"
)
def share_video(request: ApiRequest, video_id: UUID, change: Sharing) -> Video:
    """Made private again, its link and all addresses that others were shown end at once."""
    video = _mine(request, video_id)
    sharing.share(video, change.visibility)
    return video


@router.post("/{uuid:video_id}/link", response={200: VideoOut, **problems(403, 404, 409)}, summary="Renew the link")
def renew_link(request: ApiRequest, video_id: UUID) -> Video:
    """Gives a shared video another `share_url`, which ends the one before. Answers 409 when it is private."""
    video = _mine(request, video_id)
    try:
        sharing.renew_link(video)
    except sharing.NotShared as error:
        raise HttpError(409, str(error)) from error
    return video


@router.post(
    "/{uuid:video_id}/replacement",
    response={202: JobOut, **problems(400, 403, 404, 409, 413, 422, 503)},
    summary="Replace the file of a video",
    openapi_extra=idempotency.DOCUMENTED,
)
@idempotency.idempotent
def replace_video(request: ApiRequest, video_id: UUID, file: File[UploadedFile]) -> HttpResponse:
    """The video keeps its id, its title and its link, and stays as it is until the job has succeeded. What was under
    way for it before is cancelled. By tus, name its id as `replaces` in `Upload-Metadata`.
    """
    video = uploads.receive(request.auth, file, replaces=_mine(request, video_id))
    assert video.job
    return accepted(video.job)


@router.delete(
    "/{uuid:video_id}/replacement", response={204: None, **problems(403, 404)}, summary="Keep a video as it is"
)
def keep_video(request: ApiRequest, video_id: UUID) -> tuple[int, None]:
    """Gives up the file that was uploaded to replace the video's, if it has not taken its place yet."""
    uploads.keep(_mine(request, video_id))
    return 204, None


@router.delete("/{uuid:video_id}", response={204: None, **problems(403, 404)}, summary="Delete a video")
def delete_video(request: ApiRequest, video_id: UUID) -> tuple[int, None]:
    """Its files go too, and its job is cancelled if it has not finished."""
    _mine(request, video_id).remove()
    return 204, None


def _mine(request: ApiRequest, video_id: UUID) -> Video:
    return get_object_or_404(Video.objects.of(request.auth), pk=video_id)


# --- straight to the object store ---


class UploadIn(Schema):
    """A file that is to be sent."""

    size: int = Field(ge=0, description="In bytes.", examples=[40_000_000])
    filename: str = Field("", max_length=1000, examples=["harbour.mp4"])
    title: str = Field("", max_length=1000, description="If not the file's name.", examples=["Harbour at four"])
    modified: str = Field("", max_length=100, description="When the file was changed last.", examples=["1764111600000"])
    replaces: UUID | None = Field(None, description="The video whose file it is to replace.", examples=[None])


class UploadOut(Schema):
    """An upload, and which of its parts are at the store. All parts but the last have `part_size` bytes."""

    id: UUID = Field(examples=[examples.ABOUT])
    size: int = Field(description="In bytes.", examples=[40_000_000])
    part_size: int = Field(description="In bytes.", examples=[16_777_216])
    arrived: list[int] = Field(description="The numbers of the parts that are there, from 1.", examples=[[1]])
    expires_at: datetime = Field(
        description="Given up after this moment, unless a part is asked for.", examples=["2026-06-13T09:30:00Z"]
    )

    @classmethod
    def of(cls, upload: Upload) -> "UploadOut":
        """Asks the store."""
        return cls(
            id=upload.pk,
            size=upload.length,
            part_size=parts.part_bytes(upload),
            arrived=sorted(parts.arrived(upload)),
            expires_at=upload.expires_at,
        )


class PartOut(Schema):
    url: str = Field(examples=["https://s3.eu-central-1.amazonaws.com/media/videos/…/original?partNumber=2&X-Amz-…"])


@multipart.post("", response={201: UploadOut, **problems(400, 403, 404, 413, 422, 503)}, summary="Begin an upload")
def begin_upload(request: ApiRequest, wish: UploadIn) -> tuple[int, UploadOut]:
    """For sites that keep their media in an object store. Ask for the address of each part, PUT it there, and complete.

    The video will have the id of the upload, unless it `replaces` the file of another.
    """
    said = {name: str(value) for name, value in wish.model_dump(exclude={"size"}).items() if value}
    return 201, UploadOut.of(parts.begin(request.auth, wish.size, **said))


@multipart.get("/{uuid:upload_id}", response={200: UploadOut, **problems(404, 410, 503)}, summary="What has arrived")
def get_upload(request: ApiRequest, upload_id: UUID) -> UploadOut:
    """After a broken line: send only the parts that are missing."""
    return UploadOut.of(parts.find(request.auth, upload_id))


@multipart.post(
    "/{uuid:upload_id}/parts/{number}",
    response={200: PartOut, **problems(403, 404, 410, 422)},
    summary="Ask where to send a part",
)
def sign_part(request: ApiRequest, upload_id: UUID, number: int) -> dict[str, str]:
    """PUT the bytes there within an hour, without further headers. The store refuses any other number of bytes."""
    return {"url": parts.address_of_part(parts.find(request.auth, upload_id), number)}


@multipart.post(
    "/{uuid:upload_id}/complete",
    response={202: JobOut, **problems(403, 404, 409, 410, 503)},
    summary="Make a video of it",
)
def complete_upload(request: ApiRequest, upload_id: UUID) -> HttpResponse:
    """When all parts are at the store. Sent again, it answers with the same job."""
    video = parts.finish(parts.find(request.auth, upload_id))
    if video.job is None:
        raise resumable.NotThere("The job of this upload is not kept any more. See its video.")
    return accepted(video.job)


@multipart.delete("/{uuid:upload_id}", response={204: None, **problems(403, 404, 410)}, summary="Give an upload up")
def give_up_upload(request: ApiRequest, upload_id: UUID) -> tuple[int, None]:
    """With all that has arrived. Of a finished one the video goes, too, unless it was there before."""
    resumable.remove(parts.find(request.auth, upload_id))
    return 204, None
