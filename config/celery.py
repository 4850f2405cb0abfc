"""The Celery application: how messages travel. What a message means is in `jobs.worker`."""

import os

from celery import Celery

from config.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # each worker would load all pages to check them, and tell nobody

app = Celery("nightshift", beat_schedule=SCHEDULE)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
