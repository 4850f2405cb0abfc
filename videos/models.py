"""A video and what has been made of it. Its state is that of its job: it is kept nowhere else."""

import base64
import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.db import models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from files.stored import listed, once_committed
from jobs.models import UNFINISHED, Job, State
from jobs.workspace import discard_parts

FOLDER = "videos"  # of the storage, with one for each video


def lock_owner(user_id: int) -> None:
    """Let nobody else add to, or take from, what this person has, until the end of the transaction.

    Before any other row is locked, so that nobody waits for one who waits for them.
    """
    get_user_model().objects.select_for_update(no_key=True).filter(pk=user_id).first()


class Visibility(models.TextChoices):
    PRIVATE = "private", "Only you"
    UNLISTED = "unlisted", "Whoever has the link"
    PUBLIC = "public", "Everybody, on the public page too"


class Standing(models.TextChoices):
    """How a video stands, as people look for it."""

    READY = "ready", "Ready"
    UNFINISHED = "unfinished", "In progress"
    DEAD = "dead", "Failed"
    CANCELLED = "cancelled", "Cancelled"


# One that is being replaced is ready, and in progress.
STANDINGS = {
    Standing.READY: ~Q(mp4=""),
    Standing.UNFINISHED: Q(job__state__in=UNFINISHED),
    Standing.DEAD: Q(job__state=State.DEAD),
    Standing.CANCELLED: Q(job__state=State.CANCELLED),
}


class VideoQuerySet(models.QuerySet["Video"]):
    def of(self, owner: object) -> Self:
        """The videos of `owner`, with all that showing them takes."""
        return self.filter(owner=owner).select_related("job").prefetch_related("renditions")

    def public(self) -> Self:
        return self.filter(STANDINGS[Standing.READY], visibility=Visibility.PUBLIC)

    def matching(self, words: str, standing: str = "") -> Self:
        """Those that have all these words in their title, and stand so."""
        found = self.filter(STANDINGS[Standing(standing)]) if standing else self
        return found.filter(*(Q(title__icontains=word) for word in words.split()))


class Video(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="videos")
    title = models.CharField(max_length=200)
    original = models.FileField(max_length=200, blank=True, help_text="As uploaded. Empty: it could not be played.")
    replacement = models.FileField(
        max_length=200, blank=True, help_text="As uploaded to take the place of the original, once it is transcoded."
    )
    job = models.OneToOneField(
        Job, null=True, on_delete=models.SET_NULL, help_text="The job that transcodes what was uploaded last."
    )
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PRIVATE)
    link = models.CharField(max_length=50, null=True, unique=True, help_text="The secret in the address for others.")
    duration = models.FloatField(null=True, help_text="In seconds.")
    # What is published lies in one folder, and these files name others in it.
    playlist = models.FileField(max_length=200, blank=True, help_text="HLS, with all renditions.")
    mp4 = models.FileField(max_length=200, blank=True, help_text="In one file, for players that know no HLS.")
    poster = models.FileField(max_length=200, blank=True)
    storyboard = models.FileField(max_length=200, blank=True, help_text="WebVTT: the pictures of the seek bar.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VideoQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(visibility=Visibility.PRIVATE, link=None)
                | ~Q(visibility=Visibility.PRIVATE) & ~Q(link=None),
                name="video_has_link_if_shared",
            )
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("videos:video", args=[self.pk])

    @property
    def folder(self) -> str:
        """Where its files are, in the storage."""
        return f"{FOLDER}/{self.pk}"

    @property
    def original_name(self) -> str:
        """Where its original is put. `original` says where it is."""
        return f"{self.folder}/original"

    @property
    def published_in(self) -> str:
        """The folder of what people see. Empty if there is nothing yet."""
        return str(self.mp4.name).rpartition("/")[0]

    @property
    def being_replaced(self) -> bool:
        """Whether another file has been uploaded for it, and has not taken its place."""
        return bool(self.mp4 and self.job and self.job.state != State.SUCCEEDED)

    @property
    def can_be_tried_again(self) -> bool:
        """Whether the file that its job is about is still there."""
        return bool(self.replacement if self.mp4 else self.original)

    def is_made_of(self, name: str) -> bool:
        """Whether it is, or is to be, made of this uploaded file."""
        return bool(name) and name in (self.original.name, self.replacement.name)

    def discard(self, name: str) -> None:
        """Remove an uploaded file that cannot be played, and remember that it is gone."""
        this = Video.objects.filter(pk=self.pk)  # `save()` would bring back a video deleted meanwhile
        if not this.filter(original=name).update(original="") and this.filter(replacement=name).update(replacement=""):
            self.replacement = ""
            self.forget_uploads()
        default_storage.delete(name)

    def forget_uploads(self) -> None:
        """Remove the rows of those uploads in whose place others have come, so that they count no more."""
        for upload in self.upload_set.all():
            if self.original and not self.is_made_of(upload.original_name):
                upload.delete()

    @transaction.atomic
    def remove(self) -> None:
        """Delete the video with its files. Its job is cancelled first, so that it publishes nothing any more."""
        lock_owner(self.owner_id)  # who may be announcing a file for it
        if self.job:
            Job.objects.filter(pk=self.job.pk).cancel()
        once_committed(clear_away, self.folder, self.job_id)
        self.delete()


def clear_away(folder: str, job_id: uuid.UUID | None) -> None:
    if job_id:
        discard_parts(job_id)
    delete_files(folder)


def delete_files(folder: str) -> None:
    for file in listed(folder):
        default_storage.delete(file.name)


class Rendition(models.Model):
    """The video in one size."""

    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="renditions")
    name = models.CharField(max_length=10, help_text="As people call it: 720p.")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    file = models.FileField(max_length=200, help_text="Its HLS playlist.")

    class Meta:
        ordering = ["height", "width"]
        constraints = [models.UniqueConstraint(fields=["video", "name"], name="rendition_once_per_video")]

    def __str__(self) -> str:
        return f"{self.video} {self.name}"


class UploadQuerySet(models.QuerySet["Upload"]):
    def open(self) -> Self:
        """Those that can still go on."""
        return self.filter(video=None, expires_at__gt=timezone.now())


class Upload(models.Model):
    """What somebody sends, from its announcement on. It becomes the video that has the same id, or replaces the file of
    another.

    How much of it is here is kept in no column: it is the size of its file, or what the object store has of it. So a
    crash at any moment leaves the two in agreement, and no row is written for a byte. What is left of a finished one
    counts its bytes against the quota, for as long as there is the video.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    length = models.PositiveBigIntegerField(help_text="In bytes, as announced.")
    metadata = models.TextField(blank=True, help_text="The header Upload-Metadata, as sent.")
    partial = models.BooleanField(default=False, help_text="Becomes no video, but a part of another upload.")
    parts = models.TextField(blank=True, help_text="Of one put together, their addresses as sent.")
    unverified_from = models.PositiveBigIntegerField(
        null=True, help_text="What its file holds from here on waits for its checksum."
    )
    expires_at = models.DateTimeField(help_text="Removed after this moment, unless more arrives.")
    multipart = models.TextField(null=True, help_text="What the object store calls it, if it is sent straight there.")
    replaces = models.ForeignKey(
        Video, null=True, on_delete=models.CASCADE, related_name="+", help_text="The video whose file it is to replace."
    )
    video = models.ForeignKey(Video, null=True, on_delete=models.CASCADE, help_text="Set once it is finished.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.pk} of {self.length} bytes"

    @property
    def said(self) -> dict[str, str]:
        """What its sender said of it."""
        return described(self.metadata)

    @property
    def file_name(self) -> str:
        return self.said.get("filename") or self.said.get("name") or ""

    @property
    def modified(self) -> str:
        """When the file was last changed, as a browser has it. Tells whether the same file is chosen again."""
        return self.said.get("modified", "")

    @property
    def expired(self) -> bool:
        return self.video_id is None and self.expires_at <= timezone.now()

    @property
    def path(self) -> Path:
        """Where its bytes arrive."""
        return settings.UPLOAD_DIR / str(self.pk)

    @property
    def original_name(self) -> str:
        """Where it is put in the storage, once it is finished."""
        if self.replaces_id:
            return f"{Video(pk=self.replaces_id).original_name}-{self.pk}"
        return Video(pk=self.pk).original_name

    @property
    def offset(self) -> int:
        """How many of its bytes are here. Asks the disk."""
        if self.video_id:
            return self.length
        if self.unverified_from is not None:
            return self.unverified_from
        try:
            return self.path.stat().st_size
        except FileNotFoundError:  # renamed, by a process that died before it could commit, or just now
            return self.length if default_storage.exists(self.original_name) else 0

    @property
    def complete(self) -> bool:
        return self.offset == self.length

    @property
    def fraction(self) -> float:
        return self.offset / self.length


def described(metadata: str) -> dict[str, str]:
    """What the header Upload-Metadata says: pairs of a key and a value in Base64. Raises ValueError."""
    pairs = (pair.strip().partition(" ") for pair in metadata.split(",") if pair.strip())
    return {key: base64.b64decode(value, validate=True).decode() for key, _, value in pairs}


def metadata_of(said: dict[str, str]) -> str:
    """The header that says so."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
