"""Which of the beats leads: a lease on one row, with a fencing token that only goes up.

Any number of beats may run. One renews the lease; the others stand by, and one of them takes the lease once it has run
out. A leader that was frozen for longer than the lease and wakes up finds a higher token in the row, within the very
transaction in which it wanted to write. All moments are by the database's clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs import statements
from jobs.errors import Superseded
from jobs.models import Beat, Leader, from_now
from jobs.statements import Update

LEASE = timedelta(seconds=5)
BEATS_REMEMBERED = timedelta(hours=1)


class Leadership:
    """What a beat has of it. `token` is None while it stands by."""

    def __init__(self, beat: str) -> None:
        self.beat = beat
        self.token: int | None = None

    def hold(self) -> datetime | None:
        """Renew the lease, or take one that ran out, and return the database's now. None: another beat leads."""
        Beat.objects.bulk_create(
            [Beat(name=self.beat, seen_at=Now())],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["seen_at"],
        )
        leader = self._renew() or self._take()
        self.token = leader.token if leader else None
        return leader.renewed_at if leader else None

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction in which this beat leads. Raises Superseded."""
        with transaction.atomic():
            _let_go_when_frozen()
            if not self._renew():
                raise Superseded(self.beat)
            yield

    def resign(self) -> None:
        """Have another beat take over at once."""
        with suppress(DatabaseError, InterfaceError):
            Beat.objects.filter(name=self.beat).delete()
            if self.token is not None:
                Leader.objects.filter(token=self.token).update(renewed_at=from_now(-LEASE))

    def _renew(self) -> Leader | None:
        if self.token is None:
            return None
        renewed = statements.run(Update(Leader.objects.filter(token=self.token), {"renewed_at": Now()}))
        return renewed[0] if renewed else None

    def _take(self) -> Leader | None:
        Leader.objects.bulk_create([Leader(renewed_at=from_now(-LEASE))], ignore_conflicts=True)
        free = Leader.objects.filter(renewed_at__lte=from_now(-LEASE))
        changes = {"token": F("token") + 1, "beat": self.beat, "since": Now(), "renewed_at": Now()}
        taken = statements.run(Update(free, changes))
        if taken:
            Beat.objects.filter(seen_at__lt=from_now(-BEATS_REMEMBERED)).delete()
        return taken[0] if taken else None


def _let_go_when_frozen() -> None:
    """Have the database end this transaction if nothing more is heard of it: it holds the row that a takeover needs."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout TO '3s'")
