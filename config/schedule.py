"""All that the clock starts by itself. Times are UTC. The admin may pause an entry or change its time."""

from celery.schedules import crontab

SCHEDULE = {
    "prune finished jobs": {"task": "jobs.prune", "schedule": crontab(minute="17")},
}
