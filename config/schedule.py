"""All that the clock starts by itself. Times are UTC. The admin may pause an entry or change its time."""

from celery.schedules import crontab

SCHEDULE = {
    "prune finished jobs": {"task": "jobs.prune", "schedule": crontab(minute="17")},
    "reconcile payments": {"task": "orders.reconcile_payments", "schedule": crontab(hour="3", minute="5")},
    "forget payment events": {"task": "orders.forget_payment_events", "schedule": crontab(hour="4", minute="5")},
}
