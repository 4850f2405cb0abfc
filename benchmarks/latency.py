"""How long does a person wait for us, rather than for the work? On an idle site:

enqueue → started: from before `enqueue()` to the moment the worker's start was written.
success → told: from the moment the success was written to its arrival in a WebSocket client.

    python -m benchmarks.latency [jobs]
"""

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from websockets.sync.client import ClientConnection, connect

from benchmarks.report import conclude, percentile, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.stack import Stack

JOBS = 300
WARM_UP = 20
PAUSE = 0.05  # seconds between two jobs, so that each finds an idle site
BOUND = 25  # milliseconds, p95


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with running() as site:
        pairs = measure(site, number + WARM_UP)[WARM_UP:]
    figures = {}
    for number, name in enumerate(["enqueue to started", "success to WebSocket message"]):
        milliseconds = [1000 * pair[number] for pair in pairs]
        figures[f"{name}, p50 ms"] = percentile(milliseconds, 0.5)
        figures[f"{name}, p95 ms"] = percentile(milliseconds, 0.95)
    print_rows(["on an idle site", ""], [[name, f"{value:.1f}"] for name, value in figures.items()])
    conclude(
        "latency", figures, [target(name, value, at_most=BOUND) for name, value in figures.items() if "p95" in name]
    )


def measure(site: "Stack", number: int) -> list[tuple[float, float]]:
    """Seconds to the start and seconds to the message, for each job."""
    from tests.client import Client

    client = Client(site)
    headers = {"Authorization": client.headers["Authorization"]}
    with connect(f"ws://127.0.0.1:{site.port}/ws/jobs/", additional_headers=headers) as socket:
        socket.recv()  # the snapshot
        return [one(socket, client.user) for _ in range(number)]


def one(socket: ClientConnection, owner: object) -> tuple[float, float]:
    from tests.trial.tasks import nothing

    time.sleep(PAUSE)
    began = time.time()
    job_id = str(nothing.enqueue(number=0, owner=owner).pk)
    while True:
        job = json.loads(socket.recv(timeout=30))["job"]
        if job["id"] == job_id and job["state"] == "succeeded":
            return moment(job["started_at"]) - began, time.time() - moment(job["finished_at"])


def moment(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


if __name__ == "__main__":
    main()
