"""The Celery application: how messages travel. What a message means is in `jobs.worker`."""

import os

from celery import Celery

from config.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("nightshift", beat_schedule=SCHEDULE)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
