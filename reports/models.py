"""A report somebody asked for, and its file. Its state is that of its job: it is kept nowhere else."""

import uuid
from typing import Any, Literal, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job, State, from_now
from reports.period import Period

FOLDER = "reports"  # of the files, in the storage; in it each attempt has a folder of its own
EXPIRED: Literal["expired"] = "expired"


class Kind(models.TextChoices):
    SALES = "sales"
    JOBS = "jobs"
    VIDEOS = "videos"


class Format(models.TextChoices):
    PDF = "pdf", "PDF"
    XLSX = "xlsx", "Excel"
    CSV = "csv", "CSV"


class Detail(models.TextChoices):
    TOTALS = "totals"
    ROWS = "rows", "Every order"


class ReportQuerySet(models.QuerySet["Report"]):
    def of(self, viewer: Any) -> Self:
        """What `viewer` may see, with all that showing it takes: their own, and if they are staff the clock's.

        Who is not staff any more does not see the figures of others any more either.
        """
        mine = Q(owner=viewer) | Q(owner=None) if viewer.is_staff else Q(owner=viewer, everybody=False)
        return self.filter(mine).select_related("job", "owner")

    def expired(self) -> Self:
        """Those whose file is to be removed."""
        return self.filter(expires_at__lte=Now()).exclude(file="")


class Report(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.CASCADE,
        related_name="reports",
        help_text="Who asked for it. Empty: the clock, for all staff.",
    )
    kind = models.CharField(max_length=10, choices=Kind)
    first_day = models.DateField(help_text="In UTC.")
    last_day = models.DateField(help_text="In UTC, and included.")
    format = models.CharField(max_length=10, choices=Format)
    detail = models.CharField(max_length=10, choices=Detail, default=Detail.TOTALS)
    everybody = models.BooleanField(help_text="Of the whole site. Else of what is the owner's.")
    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="reports", help_text="The job that makes it. Kept as long."
    )
    file = models.FileField(max_length=200, blank=True, help_text="Empty: it is not made yet, or has expired.")
    size = models.PositiveBigIntegerField(null=True, help_text="Of the file, in bytes.")
    expires_at = models.DateTimeField(null=True, help_text="When its file is removed. Empty: it is not made yet.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "first_day", "last_day", "format"],
                condition=Q(owner=None),
                name="report_of_the_clock_once",
            ),
            models.CheckConstraint(condition=Q(last_day__gte=F("first_day")), name="report_of_some_days"),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="report_by_owner"),
            models.Index(fields=["expires_at"], name="report_expiring", condition=~Q(file="")),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.period}"

    def get_absolute_url(self) -> str:
        return reverse("reports:report", args=[self.pk])

    @property
    def period(self) -> Period:
        return Period(self.first_day, self.last_day)

    @property
    def file_name(self) -> str:
        """As whoever downloads it finds it."""
        words = [self.kind, *(["orders"] if self.detail == Detail.ROWS else []), *self.period.days_named]
        return f"{'-'.join(words)}.{self.format}"

    @property
    def status(self) -> State | Literal["expired"]:
        return EXPIRED if self.has_expired else State(self.job.state)

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def publish(self, file: str, size: int) -> None:
        """Let it be fetched. Called where its job finishes, so it is there exactly when the job has succeeded."""
        kept_until = from_now(settings.REPORT_LIFETIME)
        Report.objects.filter(pk=self.pk).update(file=file, size=size, expires_at=kept_until)
