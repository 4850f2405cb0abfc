"""Parents and children: a job whose parts are jobs, which any worker may run.

A task body hands its parts to `wait_for()`. That suspends its job, which holds no worker while it waits, and once all
children have succeeded the body runs again from the top: then `wait_for()` returns. So a crash repeats the part that
was running, and a parent that is requeued repeats only the parts that had not succeeded.

Endings travel. A parent that is cancelled or dies takes its unfinished children along; a child that dies or is
cancelled does the same to its parent. The worker that ends a child looks after the parent at once; the clock's patrol
does it each second, for all that ended in another way.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from jobs import broker
from jobs.errors import BadArguments, LeaseLost, Suspended
from jobs.interrupt import shielded
from jobs.models import Job, JobQuerySet, State

FAILED = (State.DEAD, State.CANCELLED)


def wait_for(job: Job, children: Iterable[Job], note: str = "") -> None:
    """Return once all these jobs have succeeded. Until then raises Suspended, which ends the attempt unspent.

    children: made by `task.job()`, each with a `key` that tells it from its siblings. They have the job's owner and
    priority. Those that exist from an earlier attempt are taken as they are; the dead and cancelled of them are
    requeued. note: where the job stands meanwhile, in a person's words.

    Raises LeaseLost.
    """
    with shielded(), transaction.atomic():
        siblings = _written(job, children)
        unsucceeded = siblings.exclude(state=State.SUCCEEDED)
        if not unsucceeded.exists():
            return
        unsucceeded.requeue()  # those that may be
        if not Job.objects.holding_lease(job.pk, job.lease_token).suspend(note):
            raise LeaseLost(str(job))
        new = list(siblings.filter(version=1, published_at__isnull=False))
        transaction.on_commit(lambda: broker.publish(new), robust=True)
    job.state = State.SUSPENDED
    raise Suspended(str(job))


def _written(parent: Job, children: Iterable[Job]) -> JobQuerySet:
    children = list(children)
    for child in children:
        if not child.key:
            raise BadArguments(f"{child.task}: a child needs a key that tells it from its siblings")
        child.key = f"{parent.pk}:{child.key}"
        child.parent, child.owner_id, child.priority = parent, parent.owner_id, parent.priority
    Job.objects.bulk_create(children, ignore_conflicts=True, batch_size=1000)
    return Job.objects.filter(parent=parent, key__in=[child.key for child in children])


def look_after(parent_id: UUID) -> None:
    """Bring a parent on, one of whose children has just ended."""
    parent = Job.objects.filter(pk=parent_id)
    parent.sum_up()
    go_on(parent)


def go_on(jobs: JobQuerySet) -> None:
    """Of these jobs, resume those whose children have all succeeded, and end those with a child that never will."""
    children = Job.objects.filter(parent=OuterRef("pk"))
    suspended = jobs.filter(state=State.SUSPENDED)
    for parent in suspended.filter(Exists(children.filter(state__in=FAILED))):
        _end(parent)
    broker.publish(suspended.exclude(Exists(children.exclude(state=State.SUCCEEDED))).resume())


def _end(parent: Job) -> None:
    dead = parent.children.filter(state=State.DEAD).order_by("finished_at").first()
    itself = Job.objects.filter(pk=parent.pk, state=State.SUSPENDED)
    if dead:
        itself.bury(dead.error, dead.fingerprint)
    else:
        itself.cancel()
