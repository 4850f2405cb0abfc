import os
from datetime import timedelta

from celery import current_app
from django.apps import AppConfig

from jobs.schedule import Scheduled


class TrialConfig(AppConfig):
    """Not a part of the site: EXTRA_APPS=tests.trial brings it in where the engine itself is tried."""

    name = "tests.trial"
    label = "trial"

    def ready(self) -> None:
        """TRIAL_SCHEDULE="1,2": entries of the schedule that are due every second and every two, beside the site's."""
        every = [int(seconds) for seconds in os.environ.get("TRIAL_SCHEDULE", "").split(",") if seconds]
        trial = {f"trial {number}": scheduled(seconds) for number, seconds in enumerate(every)}
        current_app.conf.beat_schedule = {**current_app.conf.beat_schedule, **trial}


def scheduled(seconds: int) -> Scheduled:
    return Scheduled("tests.trial.note_slot", timedelta(seconds=seconds), overlap=True)
