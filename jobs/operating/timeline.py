"""A job's history in words, put together from its row and the audit log."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from jobs.models import ERRORS_KEPT, Job, PausedQueue, State
from jobs.operating import acts, listing
from jobs.operating.acts import Act
from jobs.operating.durations import short

DONE = {"requeue": "Requeued", "cancel": "Cancelled", "bury": "Buried"}


@dataclass(frozen=True)
class Event:
    """at: None for what is the case now and has no moment.
    kind: how it is marked: a state, "failed" or "act".
    """

    what: str
    kind: str
    at: datetime | None = None
    by: str = ""
    text: str = ""
    traceback: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def timeline(job: Job) -> list[Event]:
    """From its enqueueing to where it stands now."""
    past = [
        *map(_failure, job.errors),
        *map(_act, acts.acts_on(job)),
    ]
    enqueued = Event("Enqueued", State.QUEUED, job.created_at)
    return [enqueued, *_forgotten(job), *sorted(past, key=lambda event: event.at or job.created_at), _present(job)]


def _failure(record: dict[str, Any]) -> Event:
    began, failed = (_moment(record.get(name)) for name in ("started_at", "failed_at"))
    took = f" after {short(failed - began)}" if began and failed else ""
    return Event(
        f"Attempt {record.get('attempt')} failed{took}",
        "failed",
        failed,
        by=f"on {record.get('worker')}",
        text=f"{record.get('error')}: {record.get('message')}",
        traceback=record.get("traceback", ""),
    )


def _act(act: Act) -> Event:
    details = dict(act.details)
    bulk = " in bulk" if "bulk" in details else ""
    edited = " with edited arguments" if "args" in details else ""
    what = DONE.get(act.verb, act.verb.capitalize())
    return Event(f"{what}{bulk}{edited}", "act", act.at, by=f"by {act.by}", details=details)


def _forgotten(job: Job) -> list[Event]:
    if len(job.errors) < ERRORS_KEPT:
        return []
    return [Event("Earlier attempts", "failed", text=f"Only the last {ERRORS_KEPT} failures are kept.")]


def _present(job: Job) -> Event:
    took = listing.took(job)
    after = f" after {short(took)}" if took is not None else ""
    match State(job.state):
        case State.QUEUED:
            return Event(f"Waits for {_awaited(job)}", job.state)
        case State.RUNNING:
            return Event(f"Attempt {job.attempt} runs", job.state, job.started_at, by=f"on {job.worker}", text=job.note)
        case State.SUSPENDED:
            return Event("Waits for its parts", job.state, text=job.note)
        case State.RETRYING:
            return Event(f"Tries again {_until(job.run_at)}", job.state)
        case State.SUCCEEDED:
            what = f"Succeeded in attempt {job.attempt}{after}"
            return Event(what, job.state, job.finished_at, by=f"on {job.worker}")
        case State.DEAD:
            return Event("Dead", job.state, job.finished_at, text=_told(job))
    return Event("Cancelled", job.state, job.finished_at)


def _awaited(job: Job) -> str:
    if PausedQueue.objects.filter(name=job.queue).exists():
        return f"the queue {job.queue} to be resumed"
    if job.run_at > timezone.now():
        return f"its time, {_until(job.run_at)}"
    return "a worker"


def _until(moment: datetime) -> str:
    wait = moment - timezone.now()
    return f"in {short(wait)}" if wait > timedelta(0) else "now"


def _told(job: Job) -> str:
    return f"Its owner was told: {job.error['message']}" if job.error and job.owner_id else ""


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
