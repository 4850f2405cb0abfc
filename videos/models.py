"""A video and what has been made of it. Its state is that of its job: it is kept nowhere else."""

import uuid
from collections.abc import Iterator
from functools import partial
from typing import Self

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models, transaction
from django.urls import reverse

from jobs.models import Job
from jobs.workspace import discard_parts

FOLDER = "videos"  # of the storage, with one for each video


class VideoQuerySet(models.QuerySet["Video"]):
    def of(self, owner: object) -> Self:
        """The videos of `owner`, with all that showing them takes."""
        return self.filter(owner=owner).select_related("job").prefetch_related("renditions")


class Video(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="videos")
    title = models.CharField(max_length=200)
    original = models.FileField(max_length=200, blank=True, help_text="As uploaded. Empty: it could not be played.")
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, help_text="The job that transcodes it.")
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

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("videos:video", args=[self.pk])

    @property
    def folder(self) -> str:
        """Where its files are, in the storage."""
        return f"{FOLDER}/{self.pk}"

    def discard_original(self) -> None:
        """Remove the uploaded file, which cannot be played, and remember that it is gone."""
        name = self.original.name
        Video.objects.filter(pk=self.pk).update(original="")  # `save()` would bring back a video deleted meanwhile
        if name:
            default_storage.delete(name)

    def remove(self) -> None:
        """Delete the video with its files. Its job is cancelled first, so that it publishes nothing any more."""
        if self.job:
            Job.objects.filter(pk=self.job.pk).cancel()
            transaction.on_commit(partial(discard_parts, self.job.pk))
        folder = self.folder
        self.delete()
        transaction.on_commit(partial(delete_files, folder))


def delete_files(folder: str) -> None:
    for name in files_in(folder):
        default_storage.delete(name)


def files_in(folder: str) -> Iterator[str]:
    """The names of all files below a folder of the storage."""
    folders, files = default_storage.listdir(folder) if default_storage.exists(folder) else ([], [])
    yield from (f"{folder}/{name}" for name in files)
    for name in folders:
        yield from files_in(f"{folder}/{name}")


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
