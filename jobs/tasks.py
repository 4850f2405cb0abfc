from datetime import timedelta
from urllib.parse import urlencode

from django.urls import reverse

from jobs import retention, workspace
from jobs.models import Job, Priority
from jobs.operating import acts
from jobs.operating.filters import BadFilter, Filters
from jobs.task import task


@task()
def prune(job: Job) -> int:
    pruned = 0
    for batch in retention.prune():
        pruned += batch
        job.advance(None, f"{pruned} pruned")
    return pruned


@task()
def clean_workspaces(job: Job) -> int:
    return workspace.clean()


def about(verb: str, filters: dict[str, str]) -> dict[str, str]:
    return {"jobs": f"{reverse('admin:jobs_job_changelist')}?{urlencode(filters)}"}


@task(priority=Priority.URGENT, time_limit=timedelta(hours=1), permanent=BadFilter, links=about)
def bulk_move(job: Job, verb: str, filters: dict[str, str]) -> dict[str, int]:
    """Requeue, cancel or bury all jobs that match, on behalf of the owner: the operator who asked for it."""
    acts.move_all(
        Filters.read(filters),
        verb,
        job.owner,
        asked_at=job.created_at,
        on_progress=job.advance,
        bulk=str(job.pk),
    )
    return {"moved": acts.moved_by(job)}
