"""Stopping a task body from outside: the lease was lost, the time is up, the worker shuts down.

Python runs signal handlers in the main thread, which is where a worker process runs its task bodies, so a handler can
raise in the middle of one. It does so only where that is safe: inside `interruptible()` and outside `shielded()`.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from billiard import active_children
from celery.signals import worker_process_init, worker_shutting_down

from jobs.errors import ShuttingDown

SIGNAL = signal.SIGUSR2

_depth = 0  # 1 in a task body, more in what it shields, 0 elsewhere
_pending: BaseException | None = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Marks a task body. Raises at once what came before it began, if that concerns the whole process."""
    global _depth, _pending
    if not isinstance(_pending, ShuttingDown):
        _pending = None
    _depth = 1
    try:
        _raise_pending()
        yield
    finally:
        _depth = 0


@contextmanager
def shielded() -> Iterator[None]:
    """Marks a part of a task body that must not be torn, such as its transaction. Keep it short."""
    global _depth
    if _depth == 0:
        yield
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def interrupt(error: BaseException) -> None:
    """Raise `error` in the task body that this process is running. May be called from any thread."""
    global _pending
    _pending = error
    if signal.getsignal(SIGNAL) is _on_signal:
        os.kill(os.getpid(), SIGNAL)


def _raise_pending(*_: Any) -> None:
    global _pending
    if _pending is not None and _depth == 1:
        error = _pending
        if not isinstance(error, ShuttingDown):
            _pending = None
        raise error


def _on_signal(signum: int, frame: Any) -> None:
    """From the heartbeat's thread, with something pending; from the parent process, to shut down."""
    global _pending
    if _pending is None:
        _pending = ShuttingDown()
    _raise_pending()


@worker_process_init.connect
def _listen(**_: Any) -> None:
    signal.signal(SIGNAL, _on_signal)


@worker_shutting_down.connect
def _tell_pool(**_: Any) -> None:
    """Celery would wait for the jobs to finish, however long they take."""
    for child in active_children():
        os.kill(child.pid, SIGNAL)
