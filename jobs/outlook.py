"""What may be expected of a job that has not finished: its place in line, when it starts, how long it may still take.

Learned from the latest jobs of the same task and of about the same size that succeeded. It is a range, from the
quickest quarter of them to the slowest, and never a promise: where too few are known, or it takes longer than most
did, nothing is said in seconds.

It is found out when somebody looks, and kept nowhere, so jobs that nobody looks at cost nothing. However many rows
there are, a look reads the first of a line and the latest of a task, by their indexes.
"""

import math
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heapreplace
from itertools import groupby
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma, ordinal
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from jobs.models import WAITING, Job, PausedQueue, State

FARTHEST = 1000  # places of a line that are looked at
RECENT = 500  # jobs of a task that are looked at
LEARNED_FROM, FEWEST = 50, 5  # of these, jobs of one size: at most so many, and of fewer nothing is learned
PROJECTED_FROM = 0.05  # the progress from which on it tells the time that is left
PACE = 1.5  # what is left may go so many times quicker or slower than what is done


class Span(NamedTuple):
    """Half of the jobs like this took no less and no more, in seconds."""

    low: float
    high: float

    def __str__(self) -> str:
        """In the unit that suits, and no more exact than it is."""
        if self.high < 5:
            return "a few seconds"
        _, step, unit, name = next(scale for scale in UNITS if self.high <= scale[0])
        low, high = (round(seconds / step) * step // unit for seconds in self)
        if low == high:
            return f"about {high} {name}"
        return f"about {low}–{high} {name}" if low else f"up to about {high} {name}"  # noqa: RUF001


# Up to how many seconds which step is told, in which unit.
UNITS = ((60, 5, 1, "s"), (120 * 60, 60, 60, "min"), (math.inf, 3600, 3600, "h"))


@dataclass(frozen=True)
class Outlook:
    """What may be expected of a job now. Changes with time, without a new version of the job."""

    waiting_for: Literal["worker", "time", "queue_paused"] | None = None
    queue_position: int | None = None
    more: bool = False  # so many wait that its place was not counted
    in_turns: bool = False  # owners take turns in this queue, so who comes later may go first
    starts_in: Span | None = None
    remaining: Span | None = None
    longer_than_usual: bool = False

    @property
    def words(self) -> str:
        """The same for people, on one line. Empty: there is nothing to say."""
        if self.waiting_for == "queue_paused":
            return "The queue is paused. This goes on by itself when it is opened again."
        if self.waiting_for == "worker":
            return self._place + (f" · starts in {self.starts_in}" if self.starts_in else "")
        left = f"{self.remaining} left" if self.remaining else ""
        if self.longer_than_usual:
            return f"Taking longer than usual · {left}" if left else "Taking longer than usual"
        return left[:1].upper() + left[1:]

    @property
    def _place(self) -> str:
        if self.more:
            turns = ", but owners take turns" if self.in_turns else ""
            return f"More than {intcomma(FARTHEST)} wait in this queue{turns}"
        if self.queue_position is None:
            return "Starts as soon as a worker is free"
        if self.queue_position == 1:
            return "Next in line"
        return f"{'About ' if self.in_turns else ''}{ordinal(self.queue_position)} in line"


def look_ahead(jobs: Iterable[Job]) -> None:
    """Give each of these its outlook. Together they cost little more than one."""
    lookout = Lookout()
    for job in jobs:
        job.outlook = None if job.finished else lookout.of(job)


class Lookout:
    """One look at the lines and at the past, for any number of jobs. Keeps what it has read."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self._lines: dict[str, Line] = {}
        self._past: dict[str, dict[int | None, list[float]]] = {}
        self._usual: dict[tuple[str, int | None], Span | None] = {}

    def of(self, job: Job) -> Outlook:
        if job.state not in WAITING:
            remaining, longer_than_usual = self.left_of(job)
            return Outlook(remaining=remaining, longer_than_usual=longer_than_usual)
        if job.queue in self._paused:
            return Outlook("queue_paused")
        if job.published_at is None and job.run_at > self.now:
            return Outlook("time")
        if job.queue not in self._lines:
            self._lines[job.queue] = Line(job.queue, self)
        return self._lines[job.queue].outlook_of(job)

    @cached_property
    def _paused(self) -> set[str]:
        return set(PausedQueue.objects.values_list("name", flat=True))

    def left_of(self, job: Job) -> tuple[Span | None, bool]:
        """For how long a job that was begun may still take, and whether it takes longer than most did."""
        assert job.started_at
        took = max(0.0, (self.now - job.started_at).total_seconds())
        # What is said of a job in parts is said of its parts: its own attempts are short.
        known = self.learned(job.task, job.size) if job.state == State.RUNNING else []
        left = [seconds - took for seconds in known if seconds > took]
        longer_than_usual = len(left) < len(known) / 4
        if job.progress is not None and PROJECTED_FROM <= job.progress < 1:
            rest = took * (1 - job.progress) / job.progress
            return Span(rest / PACE, rest * PACE), longer_than_usual
        return (None if longer_than_usual else most(left)), longer_than_usual

    def usual(self, task: str, size: int | None) -> Span | None:
        """How long jobs like this take."""
        like = task, magnitude(size)
        if like not in self._usual:
            self._usual[like] = most(self.learned(task, size))
        return self._usual[like]

    def learned(self, task: str, size: int | None) -> list[float]:
        """The seconds that jobs like this took, or none if there were too few."""
        if task not in self._past:
            self._past[task] = past(task)
        known = self._past[task][magnitude(size)]
        return known if len(known) >= FEWEST else []


class Line:
    """Those who wait in a queue and those who run, in the order in which they will."""

    def __init__(self, queue: str, lookout: Lookout) -> None:
        waiting = Job.objects.in_line(queue)
        self._lookout = lookout
        self._in_turns = queue in settings.JOB_FAIR_QUEUES
        self._running = list(Job.objects.filter(queue=queue, state=State.RUNNING).order_by()[:FARTHEST])
        self._cut = waiting[FARTHEST : FARTHEST + 1].exists()
        self._waiting: list[Any] = []
        if not self._in_turns:
            self._waiting = list(waiting.values_list("pk", "task", "size", named=True)[:FARTHEST])
        elif not self._cut:  # else whoever is beyond the cut may go before all others
            waiting = waiting.annotate(served_at=Job.objects.last_served(queue))
            columns = ("pk", "task", "size", "owner", "priority", "run_at", "served_at")
            self._waiting = in_turns(list(waiting.values_list(*columns, named=True)), self._running)
        self._places: dict[UUID, int] = {row.pk: place for place, row in enumerate(self._waiting)}

    def outlook_of(self, job: Job) -> Outlook:
        place = self._places.get(job.pk)
        if place is None and self._cut:
            return Outlook("worker", more=True, in_turns=self._in_turns)
        if place is None:  # it comes into line within a second, or the broker is down
            return Outlook("worker")
        return Outlook("worker", queue_position=place + 1, in_turns=self._in_turns, starts_in=self._starts_in(place))

    def _starts_in(self, place: int) -> Span | None:
        """When a worker comes to this place, if those who are busy now take one job after the other."""
        ahead = [self._lookout.usual(row.task, row.size) for row in self._waiting[:place]]
        if not self._running or None in ahead:
            return None
        free: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # by worker: it may hold several of one message
        for job in self._running:
            left, _ = self._lookout.left_of(job)
            free[job.worker][0] += left.low if left else 0
            free[job.worker][1] += left.high if left else math.inf
        low, high = (
            reached([seconds[end] for seconds in free.values()], [span[end] for span in ahead if span])
            for end in (0, 1)
        )
        return Span(low, high) if high < math.inf else None


def in_turns(waiting: list[Any], running: list[Job]) -> list[Any]:
    """Those who wait in the order in which `JobQuerySet.fairest()` will choose them, if nobody comes or goes."""
    turns = Counter(job.owner_id for job in running)
    served: dict[Any, tuple[int, Any]] = {}  # the later, the greater: never, when it was, or as which of these
    order: list[Any] = []
    for _, alike in groupby(waiting, key=lambda row: row.priority):
        lines: dict[Any, deque[Any]] = defaultdict(deque)
        for row in alike:
            owner = row.owner or row.pk  # what is nobody's does not wait for its turn
            lines[owner].append(row)
            served.setdefault(owner, (1, row.served_at) if row.served_at else (0, 0))
        heads = [(turns[owner], served[owner], line[0].run_at, str(owner)) for owner, line in lines.items()]
        owners = {str(owner): owner for owner in lines}
        heapify(heads)
        while heads:
            owner = owners[heads[0][-1]]
            order.append(lines[owner].popleft())
            turns[owner] += 1
            served[owner] = (2, len(order))
            if lines[owner]:
                heapreplace(heads, (turns[owner], served[owner], lines[owner][0].run_at, str(owner)))
            else:
                heappop(heads)
    return order


def reached(free: list[float], ahead: list[float]) -> float:
    """When one of the workers, free in so many seconds each, has taken all that is ahead."""
    heapify(free)
    for seconds in ahead:
        heapreplace(free, free[0] + seconds)
    return free[0]


def past(task: str) -> dict[int | None, list[float]]:
    """Seconds of the task's latest successes, by magnitude of their size."""
    latest = (
        Job.objects.filter(task=task, state=State.SUCCEEDED)
        .order_by("-finished_at")
        .annotate(in_parts=Exists(Job.objects.filter(parent=OuterRef("pk"))), took=F("finished_at") - F("started_at"))
        .values_list("size", "in_parts", "took")[:RECENT]
    )
    found: dict[int | None, list[float]] = defaultdict(list)
    for size, in_parts, took in latest:
        alike = found[magnitude(size)]
        if not in_parts and len(alike) < LEARNED_FROM:
            alike.append(took.total_seconds())
    return found


def magnitude(size: int | None) -> int | None:
    """The same for sizes that are about the same: those between two powers of two."""
    return None if size is None else size.bit_length()


def most(seconds: list[float]) -> Span | None:
    """Between the quartiles. None: there are too few of them to say."""
    if len(seconds) < 2:
        return None
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Span(low, high)
