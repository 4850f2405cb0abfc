"""The job: one durable row for every piece of background work, and the only ways to move it."""

import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Avg, Count, F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Now
from django_celery_beat.models import PeriodicTask

from jobs import slots, statements
from jobs.durability import wait_for_disk
from jobs.errors import LeaseLost, code_of
from jobs.fingerprint import fingerprint
from jobs.interrupt import shielded
from jobs.signals import job_changed
from jobs.statements import Parameter, Prepared, Update

if TYPE_CHECKING:
    from jobs.outlook import Outlook

ERRORS_KEPT = 25
TRACEBACK_CHARACTERS = 10_000


class Priority(models.IntegerChoices):
    """The steps that the broker tells apart. The lower goes first."""

    URGENT = 0
    NORMAL = 3
    LOW = 6


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


WAITING = (State.QUEUED, State.RETRYING)
UNFINISHED = (*WAITING, State.RUNNING, State.SUSPENDED)
FINISHED = (State.SUCCEEDED, State.DEAD, State.CANCELLED)

# An end of which its owner may want to hear.
ENDED = Q(owner__isnull=False, state__in=(State.SUCCEEDED, State.DEAD))

# verb: (the states it may leave, the state it enters)
TRANSITIONS: dict[str, tuple[tuple[State, ...], State]] = {
    "start": (WAITING, State.RUNNING),
    "succeed": ((State.RUNNING,), State.SUCCEEDED),
    "retry": ((State.RUNNING,), State.RETRYING),
    "bury": (UNFINISHED, State.DEAD),
    "cancel": (UNFINISHED, State.CANCELLED),
    "requeue": ((State.DEAD, State.CANCELLED), State.QUEUED),
    "release": ((State.RUNNING,), State.QUEUED),
    "suspend": ((State.RUNNING,), State.SUSPENDED),
    "resume": ((State.SUSPENDED,), State.QUEUED),
}

NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until": None}
FRESH: dict[str, Any] = {"progress": None, "note": "", "fingerprint": ""}
SUCCEEDED: dict[str, Any] = {"progress": 1.0, "note": "", "error": None, "finished_at": Now(), **NO_LEASE}


def from_now(delay: timedelta) -> models.Expression:
    """A moment by the database's clock: servers whose clocks differ still agree on when a lease ends."""
    return models.ExpressionWrapper(Now() + Value(delay), output_field=models.DateTimeField())


def of_children() -> Subquery:
    """The progress of a job whose parts are jobs: the mean of theirs."""
    mine = Job.objects.filter(parent=OuterRef("pk")).order_by().values("parent")
    return Subquery(mine.annotate(mean=Avg(Coalesce("progress", 0.0))).values("mean"))


class JobQuerySet(models.QuerySet["Job"]):
    def of(self, owner: Any) -> Self:
        """What an owner is shown: jobs as they were asked for, and not the parts that the work was cut into."""
        return self.filter(owner=owner, parent=None)

    def waiting(self) -> Self:
        return self.filter(state__in=WAITING)

    def due(self) -> Self:
        """Those that may start: their time has come, and nobody has paused their queue.

        What was published is due, whatever the time: the clock of the server that enqueued it may be ahead of the
        database's, and a message that found its job not due would be wasted.
        """
        due = Q(run_at__lte=Now()) | Q(published_at__isnull=False)
        return self.waiting().filter(due).exclude(queue__in=PausedQueue.objects.values("name"))

    def in_line(self, queue: str) -> Self:
        """Those of a queue that the broker has, the next first; but in a fair queue owners take turns."""
        return self.waiting().filter(queue=queue, published_at__isnull=False).order_by("priority", "run_at")

    def holding_lease(self, pk: Any, lease_token: Any) -> Self:
        """The row of a job, if the lease under which it was started still holds."""
        return self.filter(pk=pk, state=State.RUNNING, lease_token=lease_token)

    def lease_ran_out(self) -> Self:
        return self.filter(state=State.RUNNING, lease_until__lt=Now())

    def ended(self) -> Self:
        """Those that came to an end of which their owner may want to hear."""
        return self.filter(ENDED)

    def move(self, verb: str, **changes: Any) -> list["Job"]:
        """Move those of these jobs that may make this move, and return them as they now are.

        One conditional UPDATE, so of any number of processes that ask for the same move one wins, and the rows
        returned say which.
        """
        return announced(statements.run(self.moving(verb, **changes)))

    def moving(self, verb: str, **changes: Any) -> Update:
        """The only place that writes `state`."""
        allowed, state = TRANSITIONS[verb]
        return self.filter(state__in=allowed).changing(state=state, **changes)

    def change(self, **changes: Any) -> list["Job"]:
        """Change these jobs and announce it. Returns them as they now are."""
        return announced(statements.run(self.changing(**changes)))

    def changing(self, **changes: Any) -> Update:
        return Update(self, {"version": F("version") + 1, **changes})

    def start(self, worker: str) -> list["Job"]:
        """Begin an attempt at each that is due, all under one fresh lease. Nothing returned: others were first."""
        return announced(statements.run(self.starting(worker, uuid.uuid4())))

    def starting(self, worker: Any, lease_token: Any) -> Update:
        return self.due().moving(
            "start",
            attempt=F("attempt") + 1,
            lease_token=lease_token,
            lease_until=from_now(settings.JOB_LEASE),
            worker=worker,
            started_at=Now(),
            **FRESH,
        )

    def fairest(self, queue: str) -> "Job | None":
        """Which job of the queue is next: by priority, then of the owner who was served least and longest ago."""
        served = Job.objects.filter(queue=queue, owner=OuterRef("owner"), state=State.RUNNING).order_by()
        running = served.values("owner").annotate(number=Count("pk")).values("number")
        return (
            self.due()
            .filter(queue=queue)
            .annotate(running=Coalesce(Subquery(running), 0), served_at=Job.objects.last_served(queue))
            .order_by("priority", "running", F("served_at").asc(nulls_first=True), "run_at")
            .first()
        )

    def last_served(self, queue: str) -> Subquery:
        """When the owner of a job was last served in a fair queue. By its index, as far back as the latest."""
        served = self.filter(queue=queue, owner=OuterRef("owner"), started_at__isnull=False)
        return Subquery(served.order_by("-started_at").values("started_at")[:1])

    def succeed(self) -> list["Job"]:
        return self.move("succeed", **SUCCEEDED)

    def cancel(self) -> list["Job"]:
        """A running attempt learns of it from its heartbeat within seconds, and ends its child process."""
        return self._end_with_children("cancel")

    def bury(self, error: dict[str, str] | None = None, fingerprint: str = "buried") -> list["Job"]:
        """As an operator does, if no error is given. Attempts bury their job themselves, with their error."""
        error = error or {"type": "buried", "message": "This was stopped by an operator."}
        return self._end_with_children("bury", error=error, fingerprint=fingerprint)

    def _end_with_children(self, verb: str, **changes: Any) -> list["Job"]:
        with transaction.atomic():
            moved = self.move(verb, finished_at=Now(), **changes, **NO_LEASE)
            if moved:
                Job.objects.filter(parent__in=[job.pk for job in moved]).cancel()
        return moved

    def requeue(self, **changes: Any) -> list["Job"]:
        """Give finished work a fresh set of attempts. What went wrong before stays on record."""
        changes = {"attempt": 0, "run_at": Now(), "finished_at": None, "error": None, **FRESH, **changes}
        return self.move("requeue", published_at=None, **changes)

    def release(self) -> list["Job"]:
        """Give back what was begun and not finished, at no cost: the attempt was never made."""
        return self.move("release", attempt=F("attempt") - 1, published_at=Now(), **FRESH, **NO_LEASE)

    def suspend(self, note: str) -> list["Job"]:
        """Have them wait for their children, at no cost either. See `jobs.family`."""
        return self.move("suspend", attempt=F("attempt") - 1, progress=of_children(), note=note, **NO_LEASE)

    def resume(self) -> list["Job"]:
        return self.move("resume", published_at=Now())

    def sum_up(self) -> list["Job"]:
        """Let those that wait for their children show how far these have come."""
        return self.filter(state=State.SUSPENDED).change(progress=of_children())


class Job(models.Model):
    """One launch of a task. Written in the transaction of whatever caused it; the broker only carries its id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.CharField(max_length=100, help_text="The name of the task's function, with its app.")
    args = models.JSONField(default=dict, help_text="The keyword arguments of the task.")
    queue = models.CharField(max_length=50, help_text="Which workers may run it.")
    key = models.CharField(
        max_length=200, null=True, blank=True, help_text="Idempotency key: one job per task and key, ever."
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="jobs",
        help_text="Who is told what becomes of it.",
    )

    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="children",
        help_text="The job of which this is a part.",
    )

    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    size = models.PositiveBigIntegerField(
        null=True, help_text="How much there is to do, in what the task counts. Jobs of one size take about as long."
    )

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED, db_default=State.QUEUED)
    version = models.PositiveIntegerField(
        default=1, db_default=1, help_text="Goes up with every change. The newest is the truth."
    )
    attempt = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Attempts begun since it was queued.")
    max_attempts = models.PositiveSmallIntegerField(help_text="Dead after this many.")
    run_at = models.DateTimeField(db_default=Now(), help_text="Not before this moment.")
    published_at = models.DateTimeField(
        null=True, help_text="When its id was last given to the broker. Empty: the clock will, once it is due."
    )

    lease_token = models.UUIDField(null=True, help_text="Names the attempt that may change the row.")
    lease_until = models.DateTimeField(null=True, help_text="When the attempt is taken for dead unless renewed.")
    worker = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Who runs it, or ran it last."
    )

    progress = models.FloatField(null=True, help_text="The part done, from 0 to 1.")
    note = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="Where it stands, in a person's words."
    )
    result = models.JSONField(null=True, help_text="What the task returned.")
    error = models.JSONField(null=True, help_text="Why it is not well, for its owner: type and message.")
    errors = models.JSONField(
        default=list, db_default=Value([], models.JSONField()), help_text="Every failed attempt, for operators."
    )

    fingerprint = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text="The same for deaths of the same kind. Empty unless dead.",
    )

    created_at = models.DateTimeField(db_default=Now(), help_text="When it was enqueued.")
    started_at = models.DateTimeField(null=True, help_text="When its latest attempt began.")
    finished_at = models.DateTimeField(null=True, help_text="When it succeeded, died or was cancelled.")

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["task", "key"], condition=Q(key__isnull=False), name="job_key_once"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="job_state_known"),
            models.CheckConstraint(
                condition=Q(state=State.RUNNING, lease_token__isnull=False)
                | (~Q(state=State.RUNNING) & Q(lease_token__isnull=True)),
                name="job_lease_while_running",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="job_newest"),
            models.Index(fields=["owner", "-created_at"], name="job_by_owner", condition=Q(owner__isnull=False)),
            models.Index(fields=["state", "-created_at"], name="job_by_state"),
            models.Index(fields=["published_at", "run_at"], name="job_waiting", condition=Q(state__in=WAITING)),
            models.Index(
                fields=["queue", "priority", "run_at"],
                name="job_in_line",
                condition=Q(state__in=WAITING, published_at__isnull=False),
            ),
            models.Index(fields=["task", "-finished_at"], name="job_took", condition=Q(state=State.SUCCEEDED)),
            models.Index(fields=["lease_until"], name="job_running", condition=Q(state=State.RUNNING)),
            models.Index(fields=["finished_at"], name="job_ended", condition=ENDED),
            models.Index(fields=["owner", "-finished_at"], name="job_ended_by_owner", condition=ENDED),
            models.Index(fields=["owner", "-started_at"], name="job_served", condition=Q(queue="media")),
            models.Index(fields=["fingerprint", "-finished_at"], name="job_dead", condition=Q(state=State.DEAD)),
            models.Index(fields=["queue", "state"], name="job_counted", condition=Q(state__in=FINISHED)),
            models.Index(fields=["parent", "state"], name="job_by_parent", condition=Q(parent__isnull=False)),
        ]
        permissions = [("operate_job", "Can requeue, cancel and bury jobs, and pause queues")]

    # Set by the heartbeat when it finds that the lease is gone.
    lease_lost = False
    # What may be expected of it, where somebody has looked: see `jobs.outlook`.
    outlook: "Outlook | None" = None
    # What `advance()` was told last, until the heartbeat writes it.
    unwritten: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    def advance(self, fraction: float | None, note: str = "") -> None:
        """Say how far the attempt has come. Costs nothing: the heartbeat writes it, at most twice a second.

        Raises LeaseLost if the job was cancelled or given to another worker.
        """
        if self.lease_lost:
            raise LeaseLost(str(self))
        self.unwritten = {"progress": fraction, "note": note[:200]}

    @contextmanager
    def finishing(self, result: Any = None) -> Iterator[None]:
        """The transaction in which the job succeeds: what is written inside exists exactly when it has.

        The row is moved first. That takes its lock, so nobody can rescue or cancel the job before the commit, and a
        worker that lost its lease is stopped before it writes anything. Raises LeaseLost.
        """
        try:
            with shielded(), transaction.atomic():
                wait_for_disk()
                self.succeed(result)
                yield
        except BaseException:
            self.state = State.RUNNING  # rolled back
            raise

    def succeed(self, result: Any = None) -> None:
        with shielded():
            self._ended(SUCCEED.run(id=self.pk, lease_token=self.lease_token, result=result))

    def retry(self, error: BaseException, message: str, delay: timedelta, *, spent: bool = True) -> None:
        given_back = {} if spent else {"attempt": F("attempt") - 1}
        self._end(
            "retry",
            **given_back,
            run_at=from_now(delay),
            published_at=None,
            error=told(error, message),
            errors=self._errors_and(error),
            **FRESH,
            **NO_LEASE,
        )

    def bury(self, error: BaseException, message: str) -> None:
        with shielded(), transaction.atomic():
            self._end(
                "bury",
                finished_at=Now(),
                error=told(error, message),
                errors=self._errors_and(error),
                fingerprint=fingerprint(self.task, error),
                **NO_LEASE,
            )
            Job.objects.filter(parent=self.pk).cancel()

    def postpone(self, delay: timedelta) -> None:
        """Give the attempt back, and have it made later: it is not counted. Raises LeaseLost."""
        self._end("release", attempt=F("attempt") - 1, run_at=from_now(delay), published_at=None, **FRESH, **NO_LEASE)

    def _end(self, verb: str, **changes: Any) -> None:
        with shielded():
            self._ended(statements.run(Job.objects.holding_lease(self.pk, self.lease_token).moving(verb, **changes)))

    def _ended(self, moved: list["Job"]) -> None:
        """Fenced: raises LeaseLost if the lease under which the attempt was started did not hold any more."""
        if not moved:
            raise LeaseLost(str(self))
        self.__dict__.update(
            (name, value) for name, value in vars(moved[0]).items() if name not in ("_state", *NO_LEASE)
        )
        announced([self])

    def _errors_and(self, error: BaseException) -> list[dict[str, Any]]:
        return [*self.errors, record(self, error)][-ERRORS_KEPT:]


class PausedQueue(models.Model):
    """A queue whose jobs wait until somebody resumes it."""

    name = models.CharField(max_length=50, primary_key=True)
    paused_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class IdempotencyKey(models.Model):
    """The answer to a creating request, kept so that the request can be sent again. See `jobs.idempotency`."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="Of the request, to tell another one under the same key.")
    claim = models.UUIDField(default=uuid.uuid4, help_text="Names the request that may answer.")
    claimed_until = models.DateTimeField(help_text="When that request is taken for dead.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Of the answer. Empty while there is none.")
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once_per_owner")]

    def __str__(self) -> str:
        return self.key


# --- the schedule ---


class Entry(PeriodicTask):
    """What the clock starts by itself, and when: a row of django-celery-beat, in the words of the engine.

    Code declares it (`config.schedule`), operators may pause it and change its time. `last_run_at` is the slot up to
    which it has been dealt with; empty while it is paused.
    """

    class Meta:
        proxy = True
        verbose_name = "entry of the schedule"
        verbose_name_plural = "schedule"

    def __str__(self) -> str:
        return self.name

    @property
    def times(self) -> slots.Times:
        if self.interval:
            return slots.Every(timedelta(**{self.interval.period: self.interval.every}))
        cron = self.crontab
        fields = (cron.minute, cron.hour, cron.day_of_month, cron.month_of_year, cron.day_of_week)
        return slots.Crontab(" ".join(field.replace(" ", "") for field in fields), str(cron.timezone))


class Declaration(models.Model):
    """What code last said of an entry. It tells a change that an operator made from one that was made in code."""

    entry = models.OneToOneField(Entry, on_delete=models.CASCADE, primary_key=True)
    times = models.CharField(max_length=200, help_text="When it is due, as code has it.")
    dropped_at = models.DateTimeField(null=True, help_text="When it was found that code does not have it any more.")

    def __str__(self) -> str:
        return f"{self.entry}: {self.times}"


class Slot(models.Model):
    """A due time of an entry, and what became of it. Written in one transaction with its job."""

    class Outcome(models.TextChoices):
        FIRED = "fired"
        CAUGHT_UP = "caught_up", "Caught up"
        SKIPPED = "skipped"
        MISSED = "missed"
        BY_HAND = "by_hand", "By hand"

    entry = models.ForeignKey(Entry, on_delete=models.CASCADE, related_name="slots")
    slot = models.DateTimeField(help_text="When it was due.")
    last = models.DateTimeField(null=True, help_text="Of many missed slots that are one row: the last of them.")
    number = models.PositiveIntegerField(default=1, help_text="How many slots this row stands for.")
    outcome = models.CharField(max_length=10, choices=Outcome)
    job = models.ForeignKey(
        Job, null=True, on_delete=models.SET_NULL, related_name="+", help_text="Empty: it made none, or it was pruned."
    )
    fired_at = models.DateTimeField(db_default=Now(), help_text="When the clock dealt with it.")

    class Meta:
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["entry", "slot"], name="slot_once_per_entry")]
        indexes = [
            models.Index(fields=["entry", "-slot"], name="slot_with_job", condition=Q(job__isnull=False)),
            models.Index(fields=["fired_at"], name="slot_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.entry}@{self.slot.isoformat()}"

    @property
    def lateness(self) -> timedelta:
        return self.fired_at - self.slot


class Leader(models.Model):
    """The lease of the beat that leads. There is one row, ever. See `jobs.leader`."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    beat = models.CharField(max_length=100, blank=True, help_text="Who leads.")
    token = models.PositiveBigIntegerField(default=0, help_text="Goes up with every takeover.")
    since = models.DateTimeField(null=True, help_text="When it took over.")
    renewed_at = models.DateTimeField(help_text="Others may take the lease when this is old.")

    def __str__(self) -> str:
        return self.beat


class Beat(models.Model):
    """A clock process: the one that leads, or one that stands by."""

    name = models.CharField(max_length=100, primary_key=True)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


def told(error: BaseException, message: str) -> dict[str, str]:
    """An error as its owner sees it."""
    return {"type": code_of(error), "message": message}


def record(job: Job, error: BaseException) -> dict[str, Any]:
    """A failed attempt as operators see it."""
    return {
        "attempt": job.attempt,
        "error": code_of(error),
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:],
        "worker": job.worker,
        "started_at": _iso(job.started_at),
        "failed_at": _iso(datetime.now().astimezone()),
    }


def announced(jobs: list[Job]) -> list[Job]:
    """Have `job_changed` sent for each of these, once what changed them is committed."""
    if jobs:
        transaction.on_commit(lambda: _announce(jobs), robust=True)
    return jobs


def _announce(jobs: list[Job]) -> None:
    for job in jobs:
        job_changed.send_robust(sender=Job, job=job)


def start(pk: Any, worker: str) -> list[Job]:
    """What `Job.objects.filter(pk=pk).start(worker)` does, in half the time."""
    return announced(START.run(id=pk, worker=worker, lease_token=uuid.uuid4()))


ID, LEASE_TOKEN = Parameter("id", models.UUIDField()), Parameter("lease_token", models.UUIDField())
WORKER, RESULT = Parameter("worker", models.CharField()), Parameter("result", models.JSONField())
START = Prepared(lambda: Job.objects.filter(pk=ID).starting(WORKER, LEASE_TOKEN))
SUCCEED = Prepared(
    lambda: Job.objects.holding_lease(ID, LEASE_TOKEN).moving("succeed", **{**SUCCEEDED, "result": RESULT}),
    returning=("state", "version", "result", *SUCCEEDED.keys() - NO_LEASE),
)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
