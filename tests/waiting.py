"""Tests never sleep: they wait for a condition."""

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], timeout: float = 20, every: float = 0.05) -> Found:
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Still {found!r} after {timeout:g} s: {source_of(condition)}")
        time.sleep(every)
    return found


def source_of(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):
        return repr(condition)
