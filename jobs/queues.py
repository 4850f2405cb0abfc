"""What is in each queue, and pausing and resuming them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Count as CountOf
from django.db.models import Min, Q
from django.utils import timezone

from jobs.models import FINISHED, UNFINISHED, WAITING, Job, PausedQueue, State
from jobs.operating.counting import Count, capped
from jobs.registry import registry


@dataclass
class Queue:
    name: str
    paused_at: datetime | None = None
    counts: dict[State, Count] = field(default_factory=lambda: dict.fromkeys(State, Count(0)))
    due_since: datetime | None = None  # since when the job that waits longest could have started

    @property
    def waiting(self) -> Count:
        return self.counts[State.QUEUED] + self.counts[State.RETRYING]


def overview() -> list[Queue]:
    """All queues with what is in them. Unfinished jobs are counted exactly, finished ones up to the cap."""
    paused = dict(PausedQueue.objects.values_list("name", "paused_at"))
    queues = {name: Queue(name, paused.get(name)) for name in names()}
    for name, state, number, earliest in _unfinished():
        queue = queues.setdefault(name, Queue(name, paused.get(name)))
        queue.counts[State(state)] = Count(number)
        if earliest and earliest <= timezone.now():
            queue.due_since = min(filter(None, (queue.due_since, earliest)))
    for queue in queues.values():
        for state in FINISHED:
            queue.counts[state] = capped(Job.objects.filter(queue=queue.name, state=state), column="state")
    return list(queues.values())


def names() -> list[str]:
    """The queues that tasks name, that are paused, or that have jobs of whatever age."""
    declared = {task.queue for task in registry.values()}
    paused = PausedQueue.objects.values_list("name", flat=True)
    unfinished = Job.objects.filter(state__in=UNFINISHED).order_by().values_list("queue", flat=True).distinct()
    return sorted({*declared, *paused, *unfinished, *_finished()})


def pause(name: str) -> bool:
    """Start no more jobs of this queue; those that run go on. False: it was paused already."""
    return PausedQueue.objects.get_or_create(name=name)[1]


def resume(name: str) -> bool:
    """Start jobs of this queue again. False: it was not paused.

    The workers have dropped the messages that came meanwhile, so the clock is to publish all of its jobs anew.
    """
    with transaction.atomic():
        resumed, _ = PausedQueue.objects.filter(name=name).delete()
        Job.objects.waiting().filter(queue=name).exclude(published_at=None).update(published_at=None)
    return bool(resumed)


def _unfinished() -> Iterator[tuple[str, str, int, datetime | None]]:
    unfinished = Job.objects.filter(state__in=UNFINISHED).order_by().values_list("queue", "state")
    yield from unfinished.annotate(number=CountOf("pk"), earliest=Min("run_at", filter=Q(state__in=WAITING)))


def _finished() -> Iterator[str]:
    """Jumps through the index from each name to the next. DISTINCT would read every row."""
    finished = Job.objects.filter(state__in=FINISHED).order_by("queue").values_list("queue", flat=True)
    name = finished.first()
    while name is not None:
        yield name
        name = finished.filter(queue__gt=name).first()
