"""What reports can be about. Each module has `figures(period, owner)`, and `daily(period, owner)` for a quick look.

`owner` is whose figures they are. None: everybody's.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from reports.figures import Figures, Table
from reports.kinds import jobs, sales, videos
from reports.models import Kind
from reports.period import Period

KINDS: dict[str, ModuleType] = {Kind.SALES: sales, Kind.JOBS: jobs, Kind.VIDEOS: videos}


def figures(kind: str, period: Period, owner: Any) -> Figures:
    make: Callable[[Period, Any], Figures] = KINDS[kind].figures
    return make(period, owner)


def daily(kind: str, period: Period, owner: Any) -> Table:
    look: Callable[[Period, Any], Table] = KINDS[kind].daily
    return look(period, owner)
