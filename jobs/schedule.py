"""What the clock starts by itself, as code declares it. The table of it is `config.schedule`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery.schedules import crontab


@dataclass(frozen=True)
class Scheduled:
    """An entry of the schedule: a task, and when it is due. Each due time is a slot, and a slot makes one job.

    task: its name, as `jobs.registry` has it.
    when: a crontab, by the wall clock of the time zone. Or a timedelta: as often as that, counted from 1970 on, so
        that every five minutes means at :00, :05, :10.
    timezone: of the crontab. A wall time that a daylight-saving change skips is due as far after the change as it
        would have been without; one that comes twice is due once, unless the crontab says every hour.
    overlap: fire a slot also while the job of the slot before is unfinished. If not, the slot is skipped.
    catch_up: after an outage the latest slot that was missed is fired, once, if it is no older than this. None: never.
    kwargs: the task's arguments.

    A task that has a parameter `slot` is told its slot: an ISO 8601 moment in the time zone of the entry. The date in
    it is the date there: `datetime.fromisoformat(slot).date()`.
    """

    task: str
    when: crontab | timedelta
    timezone: str = "UTC"
    overlap: bool = False
    catch_up: timedelta | None = timedelta(days=1)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
