"""The clock: celery beat with this scheduler. Any number of them may run; one leads, and does all there is to do.

Of django-celery-beat it has the tables, so that the schedule can be changed while it runs. It does without the heap
of entries in memory: what is there is as old as the last reading, and a beat that took over with an old `last_run_at`
fires a slot again. Here every round reads the rows, and a slot is a key.
"""

import atexit
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections
from django_celery_beat.schedulers import DatabaseScheduler

from jobs import entries, slots
from jobs.errors import Superseded
from jobs.leader import Leadership
from jobs.models import Entry
from jobs.patrol import patrol
from jobs.registry import registry
from jobs.schedule import Scheduled
from jobs.worker import worker_name

logger = logging.getLogger(__name__)

ROUND = 1.0  # seconds between rounds, if nothing is due before


class Clock(DatabaseScheduler):
    def setup_schedule(self) -> None:
        self.declared: Mapping[str, Scheduled] = self.app.conf.beat_schedule
        self.leadership = Leadership(worker_name())
        self.synced: int | None = None  # under which token
        atexit.register(self.leadership.resign)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round, and how long to wait for the next. The clock itself never stops: it waits for the database."""
        close_old_connections()
        began = time.monotonic()
        try:
            now = self.leadership.hold()
            return max(0.0, self.lead(now) - (time.monotonic() - began)) if now else ROUND
        except Superseded:
            logger.warning("Another beat has taken over")
        except (DatabaseError, InterfaceError):
            logger.exception("The database does not answer")
        return ROUND

    def lead(self, now: datetime) -> float:
        if self.synced != self.leadership.token:
            self.take_over()
        due_in = [self.attend(entry, now) for entry in entries.enabled()]
        return 0.0 if patrol() else min([ROUND, *due_in])

    def take_over(self) -> None:
        """Only a leader says what is declared: code that is being replaced does not undo what newer code has said."""
        with self.leadership.fenced():
            entries.sync(self.declared)
        self.synced = self.leadership.token
        logger.info("%s leads, with token %d", self.leadership.beat, self.leadership.token)

    def attend(self, entry: Entry, now: datetime) -> float:
        """Fire the entry if it is due. Returns the seconds until its next slot.

        What goes wrong with one entry is its own: the others are fired all the same.
        """
        one = self.declared.get(entry.name)
        if one is None or one.task not in registry:
            return ROUND  # of newer code than this; the leader who knows it catches up
        try:
            if due := slots.due(entry.times, entry.last_run_at or now, now, one.catch_up):
                with self.leadership.fenced():
                    entries.settle(entry, one, due, now)
            return (entry.times.after(now) - now).total_seconds()
        except (Superseded, DatabaseError, InterfaceError):
            raise
        except Exception:
            logger.exception("%s could not be fired", entry)
            return ROUND
