"""How a benchmark says what it measured: a table for people, and as its last line JSON for programs."""

import json
import statistics
from collections.abc import Iterable, Sequence
from math import inf

Target = dict[str, object]


def target(name: str, value: float, *, at_most: float = inf, at_least: float = -inf) -> Target:
    bound = f">= {at_least}" if at_most == inf else f"<= {at_most}"
    return {"name": name, "value": round(value, 3), "bound": bound, "met": at_least <= value <= at_most}


def conclude(bench: str, figures: dict[str, float], targets: Iterable[Target]) -> None:
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps({"bench": bench, "figures": rounded, "targets": list(targets)}))


def percentile(values: Sequence[float], part: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(part * 100) - 1]


def print_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    for row in [header, *rows]:
        print("".join(f"{cell:<44}" if number == 0 else f"{cell:>12}" for number, cell in enumerate(row)))
    print()
