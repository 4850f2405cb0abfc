"""Queues, as an operator sees them."""

from jobs.models import Job, PausedQueue


def pause(name: str) -> None:
    """Start none of the queue's jobs until it is resumed. What runs goes on."""
    PausedQueue.objects.get_or_create(name=name)


def resume(name: str) -> None:
    """Start the queue's jobs again. Workers dropped the messages of a paused queue, so the clock publishes them anew."""
    PausedQueue.objects.filter(name=name).delete()
    Job.objects.waiting().filter(queue=name).update(published_at=None)
