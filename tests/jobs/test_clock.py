"""What the clock starts. How it brings lost jobs back is in test_worker and in tests/guarantees."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from celery.schedules import crontab, schedule
from django.conf import settings

from config.schedule import SCHEDULE
from jobs.clock import Clock, slot
from jobs.models import Job
from jobs.registry import registry
from tests.trial.tasks import nothing

LAST = datetime(2026, 3, 1, 2, 0, 7, tzinfo=UTC)


def entry(when: schedule) -> SimpleNamespace:
    return SimpleNamespace(name="nightly", task=nothing.name, schedule=when, last_run_at=LAST, kwargs={"number": 1})


def test_a_slot_is_when_the_entry_was_due_not_when_somebody_came():
    now = LAST + timedelta(hours=5)
    assert slot(entry(crontab(minute="17", nowfun=lambda: now))) == datetime(2026, 3, 1, 2, 17, tzinfo=UTC)
    assert slot(entry(schedule(timedelta(seconds=5), nowfun=lambda: now))) == LAST + timedelta(seconds=5)


@pytest.mark.django_db
def test_a_slot_is_fired_once_however_many_clocks_come():
    clocks = [Clock.__new__(Clock) for _ in range(3)]
    for clock in clocks:
        clock.apply_async(entry(crontab(minute="17")))
    assert Job.objects.get().key == "nightly@2026-03-01T02:17:00+00:00"


def test_everything_in_the_schedule_is_a_task():
    for one in SCHEDULE.values():
        task = registry[one.task]
        task.check({**one.kwargs, **({"slot": "2026-03-01T02:00:00+00:00"} if "slot" in task.arguments else {})})
    assert settings.CELERY_BEAT_SCHEDULER == "jobs.clock.Clock"
