"""A video and what has been made of it. Its state is that of its job: it is kept nowhere else."""

import uuid
from functools import partial
from typing import Self

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models, transaction
from django.urls import reverse

from jobs.models import Job


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
    poster = models.FileField(max_length=200, blank=True)
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
        return f"videos/{self.pk}"

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
        names = self.file_names()
        self.delete()
        for name in names:
            transaction.on_commit(partial(default_storage.delete, name))

    def file_names(self) -> list[str]:
        """Of all its files, in the storage: asked of the database, since they may just have been published."""
        own = Video.objects.filter(pk=self.pk).values_list("original", "poster").first() or ()
        return [*filter(None, own), *Rendition.objects.filter(video=self.pk).values_list("file", flat=True)]


class Rendition(models.Model):
    """The video in one size."""

    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="renditions")
    name = models.CharField(max_length=10, help_text="As people call it: 720p.")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    file = models.FileField(max_length=200)

    class Meta:
        ordering = ["height", "width"]
        constraints = [models.UniqueConstraint(fields=["video", "name"], name="rendition_once_per_video")]

    def __str__(self) -> str:
        return f"{self.video} {self.name}"
