"""What do 200 who wait for a job cost? The memory of the web process, and how fast it answers others meanwhile.

python -m benchmarks.waiting [who wait]
"""

import statistics
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.report import conclude, percentile, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.client import Client

WAITING = 200
ROUNDS = 3
REQUESTS = 200
WARM_UP = 50


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else WAITING
    with running(only=["web", "valkey"], API_MAX_WAITING=str(number), API_REQUESTS_PER_MINUTE="1000000") as site:
        from tests.client import Client
        from tests.crowd import crowd, memory

        alone: list[float] = []
        beside: list[float] = []
        with Client(site) as client:
            ask(client, WARM_UP)
            before = memory(site)
            for _ in range(ROUNDS):
                alone += ask(client, REQUESTS)
                with crowd(site, client, number):
                    beside += ask(client, REQUESTS)
                    cost = memory(site) - before
    figures = {
        f"memory of {number} who wait, MB": cost / 2**20,
        "a request alone, p50 ms": statistics.median(alone),
        "a request beside them, p50 ms": statistics.median(beside),
        "a request alone, p95 ms": percentile(alone, 0.95),
        "a request beside them, p95 ms": percentile(beside, 0.95),
    }
    print_rows(["while they wait", ""], [[name, f"{value:.1f}"] for name, value in figures.items()])
    slower = statistics.median(beside) / statistics.median(alone)
    conclude(
        "waiting",
        figures,
        [target("memory, MB", cost / 2**20, at_most=100), target("beside them / alone, p50", slower, at_most=1.2)],
    )


def ask(client: "Client", times: int) -> list[float]:
    """Milliseconds of requests for the list of jobs."""
    milliseconds = []
    for _ in range(times):
        began = time.perf_counter()
        client.get("/api/jobs", params={"limit": 1}).raise_for_status()
        milliseconds.append(1000 * (time.perf_counter() - began))
    return milliseconds


if __name__ == "__main__":
    main()
