"""All declared tasks, by name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.task import Task

registry: dict[str, "Task"] = {}
