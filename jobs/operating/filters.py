"""Which jobs are meant: the one set of filters of the admin, the command line and the bulk moves.

All of them ask `Filters.jobs()`, so what an operator sees under some filters is what a move under them moves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q, Subquery, TextField
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from jobs.models import Job, JobQuerySet, State
from jobs.operating import durations

SEARCHED = 100_000  # the text search reads the newest so many of what the other filters leave
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadFilter(ValueError):
    """There is no such filter, or it cannot have such a value. The message is for the operator."""


@dataclass(frozen=True)
class Filters:
    """What is not given is not filtered by."""

    id: tuple[UUID, ...] = ()
    parent: tuple[UUID, ...] = ()
    state: tuple[State, ...] = ()
    task: str = ""
    queue: str = ""
    owner: AbstractBaseUser | None = None
    fingerprint: str = ""
    since: datetime | None = None
    until: datetime | None = None
    search: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """From a query string, options or the arguments of a job. Empty values count as not given. Raises BadFilter."""
        if unknown := given.keys() - FILTERS.keys():
            raise BadFilter(f"There is no filter “{min(unknown)}”. There are: {', '.join(FILTERS)}.")
        typed = {name: value.strip() for name, value in given.items()}
        return cls(**{name: FILTERS[name].read(value) for name, value in typed.items() if value})

    def written(self) -> dict[str, str]:
        """As `read()` takes them. What was relative to now ("2h") has become a moment, and stays it."""
        return {name: _text(value) for name, value in self._given()}

    def jobs(self) -> JobQuerySet:
        jobs = Job.objects.filter(**{FILTERS[name].lookup: value for name, value in self._given() if name != "search"})
        if self.fingerprint:
            jobs = jobs.filter(state=State.DEAD)  # the index on fingerprints wants to hear it
        return _containing(self.search, jobs) if self.search else jobs

    def states(self) -> tuple[State, ...]:
        """In which states the jobs may be. Only the dead have a fingerprint."""
        return (State.DEAD,) if self.fingerprint else self.state or tuple(State)

    def _given(self) -> list[tuple[str, Any]]:
        values = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in values if value]


def _containing(text: str, jobs: JobQuerySet) -> JobQuerySet:
    """Those with this text in their arguments or key, or at the beginning of their id."""
    newest = jobs.order_by("-created_at").values("created_at")
    horizon = Coalesce(Subquery(newest[SEARCHED : SEARCHED + 1]), EPOCH)
    return jobs.alias(args_text=Cast("args", TextField()), id_text=Cast("pk", TextField())).filter(
        Q(args_text__icontains=text) | Q(key__icontains=text) | Q(id_text__startswith=text.lower()),
        created_at__gt=horizon,
    )


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, datetime):
        return value.isoformat()
    return value.get_username() if isinstance(value, AbstractBaseUser) else value


# --- how each is typed ---


def _ids(text: str) -> tuple[UUID, ...]:
    try:
        return tuple(map(UUID, text.split(",")))
    except ValueError:
        raise BadFilter(f"“{text}” is not the id of a job.") from None


def _states(text: str) -> tuple[State, ...]:
    try:
        return tuple(map(State, text.split(",")))
    except ValueError:
        raise BadFilter(f"There is no state “{text}”. There are: {', '.join(State)}.") from None


def _owner(email: str) -> AbstractBaseUser:
    user_model = get_user_model()
    try:
        return user_model._default_manager.get_by_natural_key(email)
    except user_model.DoesNotExist:
        raise BadFilter(f"No user has the address {email}.") from None


def _moment(text: str) -> datetime:
    """A span before now ("2h"), a day, or a moment."""
    if span := durations.parse(text):
        return timezone.now() - span
    try:
        day = parse_date(text)
        moment = datetime.combine(day, time()) if day else parse_datetime(text.replace(" ", "+"))
    except ValueError:  # it looks like a moment, but there is no 31 February
        moment = None
    if moment is None:
        raise BadFilter(f"“{text}” is not a time. Write 30m, 2h, 7d, 2026-11-24 or 2026-11-24T18:00.")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


class Filter(NamedTuple):
    lookup: str
    read: Callable[[str], Any]
    help: str


FILTERS = {
    "id": Filter("pk__in", _ids, "these jobs, separated by commas"),
    "parent": Filter("parent__in", _ids, "parts of these jobs, separated by commas"),
    "state": Filter("state__in", _states, f"in one of these states, separated by commas: {', '.join(State)}"),
    "task": Filter("task", str, "of this task, such as videos.transcode_video"),
    "queue": Filter("queue", str, "in this queue"),
    "owner": Filter("owner", _owner, "of the user with this mail address"),
    "fingerprint": Filter("fingerprint", str, "dead of this"),
    "since": Filter("created_at__gte", _moment, "enqueued since: 30m, 2h, 7d, 2026-11-24 or 2026-11-24T18:00"),
    "until": Filter("created_at__lt", _moment, "enqueued before: the same"),
    "search": Filter("", str, f"this text in the arguments, key or id; among the newest {SEARCHED:,} of the others"),
}
