"""Spans of time as operators type and read them."""

import re
from datetime import timedelta

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
TYPED = re.compile(rf"(\d+)\s*({'|'.join(SECONDS)})")

# From how many seconds on a unit is used, and how many it has.
SHOWN = ((2 * 86_400, 86_400, "d"), (2 * 3600, 3600, "h"), (120, 60, "min"), (10, 1, "s"))


def parse(text: str) -> timedelta | None:
    """Read "45s", "2h" or "3d". None: it is no span."""
    typed = TYPED.fullmatch(text)
    return timedelta(seconds=int(typed[1]) * SECONDS[typed[2]]) if typed else None


def short(span: timedelta) -> str:
    """The span in its largest unit, which is as exact as a glance needs."""
    seconds = span.total_seconds()
    for threshold, unit, name in SHOWN:
        if seconds >= threshold:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.1f} s"
