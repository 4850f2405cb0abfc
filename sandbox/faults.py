"""What is to go wrong next. Tests plan it with `POST /sandbox/faults`."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    BUSY = "busy"  # 429, before anything is done
    ERROR_BEFORE = "error_before"  # 500, before anything is done: the key is not used up
    ERROR_DURING = "error_during"  # 500, with nothing charged. Kept under the key, so it is all that can be learned
    ERROR_AFTER = "error_after"  # charged, and then 500. That is kept under the key too
    DECLINE = "decline"  # as if the card were no good
    SLOW = "slow"  # the charge is made, but late
    DROP_AFTER = "drop_after"  # the charge is made, and the connection closed in the midst of the answer
    EVENT_LOST = "event_lost"  # the charge is made, and the webhook never hears of it
    EVENT_TWICE = "event_twice"  # the webhook hears of it twice
    EVENT_FIRST = "event_first"  # the webhook hears of it before the answer is given


@dataclass
class Plan:
    """The faults of the next requests: those listed first, and then each by its chance."""

    upcoming: deque[Fault | None] = field(default_factory=deque)
    chances: dict[Fault, float] = field(default_factory=dict)
    seconds: float = 3.0  # how slow is slow
    dice: random.Random = field(default_factory=random.Random)
    met: Counter[str] = field(default_factory=Counter)  # how often each has happened

    @classmethod
    def read(cls, asked: dict[str, Any]) -> "Plan":
        """From JSON such as `{"next": ["busy", null, "slow"], "chances": {"drop_after": 0.1}, "seed": 7}`."""
        return cls(
            upcoming=deque(Fault(name) if name else None for name in asked.get("next", [])),
            chances={Fault(name): float(chance) for name, chance in asked.get("chances", {}).items()},
            seconds=float(asked.get("seconds", cls.seconds)),
            dice=random.Random(asked.get("seed")),
        )

    def draw(self) -> Fault | None:
        fault = self.upcoming.popleft() if self.upcoming else self._roll()
        if fault:
            self.met[fault] += 1
        return fault

    def _roll(self) -> Fault | None:
        rolled = self.dice.random()
        for fault, chance in self.chances.items():
            rolled -= chance
            if rolled < 0:
                return fault
        return None
