"""All that the clock starts by itself: name and entry. `Scheduled` says what can be said of an entry.

The name is part of the key of every job that the entry makes, so another name is another entry. Operators may pause an
entry and change its time. What runs every hour is in UTC, which has no hour too many or too few.
"""

from celery.schedules import crontab

from jobs.schedule import Scheduled

SCHEDULE = {
    "prune finished jobs": Scheduled("jobs.prune", crontab(minute="17")),
    "clean workspaces": Scheduled("jobs.clean_workspaces", crontab(minute="52")),
    "report sales": Scheduled("reports.report_sales_of_the_night", crontab(hour="2", minute="0")),
    "remove expired reports": Scheduled("reports.remove_expired", crontab(minute="37")),
    "remove torn uploads": Scheduled("videos.remove_torn_uploads", crontab(minute="7")),
    "remove orphans of videos": Scheduled("videos.remove_orphans", crontab(minute="57")),
    "tidy uploads": Scheduled("videos.tidy_uploads", crontab(minute="47")),
    "reconcile payments": Scheduled("orders.reconcile_payments", crontab(hour="3", minute="5")),
    "forget expired sessions": Scheduled("accounts.forget_sessions", crontab(minute="27")),
    "mail daily summaries": Scheduled("summaries.mail_summaries", crontab(hour="6", minute="0")),
    "tell what was missed": Scheduled("notifications.tell_missed", crontab()),
    "forget webhook deliveries": Scheduled("notifications.forget_deliveries", crontab(hour="4", minute="35")),
    "forget payment events": Scheduled("orders.forget_payment_events", crontab(hour="4", minute="5")),
}
