"""The one announcement of the engine. Signals announce; they never work."""

from django.dispatch import Signal

# Sent with `job` after the transaction that changed it: enqueued, moved, or advanced. Receivers must be quick and
# must not fail; what takes time belongs in a job of its own.
job_changed = Signal()
