"""How long what has finished is kept."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings

from jobs.models import IdempotencyKey, Job, Slot, from_now

BATCH = 1000
SLOTS_KEPT = timedelta(days=90)
IDEMPOTENCY_KEYS_KEPT = timedelta(hours=48)  # clients are promised 24


def prune() -> Iterator[int]:
    """Delete what is older than its state is kept, in batches so that no lock is held for long. Yields their sizes."""
    for state, kept in settings.JOB_RETENTION.items():
        old = Job.objects.filter(state=state, created_at__lt=from_now(-kept), finished_at__lt=from_now(-kept))
        while deleted := Job.objects.filter(pk__in=old.order_by().values("pk")[:BATCH]).delete()[0]:
            yield deleted
    slots = Slot.objects.filter(fired_at__lt=from_now(-SLOTS_KEPT)).order_by()
    while deleted := Slot.objects.filter(pk__in=slots.values("pk")[:BATCH]).delete()[0]:
        yield deleted
    IdempotencyKey.objects.filter(created_at__lt=from_now(-IDEMPOTENCY_KEYS_KEPT)).delete()
