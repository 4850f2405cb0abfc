"""Which deaths are of the same kind, so that a person can look at a thousand dead jobs as three problems."""

import hashlib
import re
import sysconfig
import traceback
from pathlib import Path

from jobs.errors import code_of

# What differs between two errors of one kind: numbers, identifiers, quoted values.
VARIABLE = re.compile(r"""[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+|'[^']*'|"[^"]*\"""", re.IGNORECASE)
LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


def fingerprint(task: str, error: BaseException) -> str:
    """16 hexadecimal digits of the task, the error's class, its message without variable parts, and where it arose."""
    parts = [task, code_of(error), VARIABLE.sub("#", str(error)), _own_frame(error)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _own_frame(error: BaseException) -> str:
    """The innermost frame in our own code, without its line number: that moves with every edit."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*LIBRARIES, "<")):
            return f"{Path(frame.filename).name}:{frame.name}"
    return ""
