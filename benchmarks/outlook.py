"""What does it cost to say what may be expected of a job, with a million rows in the table?

Asks a running site on PostgreSQL for jobs over HTTP: one that has finished, of which nothing is expected, and those of
which something is.

    python -m benchmarks.outlook [succeeded] [waiting]
"""

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.report import conclude, percentile, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.client import Client

SUCCEEDED, WAITING = 900_000, 100_000
REQUESTS, WARM_UP = 100, 20
BOUND = 50  # milliseconds, p95

# One owner's, in both kinds of queue: half of each in the line of "quick", half in that of "media".
MADE = """
    INSERT INTO jobs_job (id, task, args, queue, owner_id, priority, size, state, version, attempt, max_attempts,
        run_at, published_at, worker, progress, result, created_at, started_at, finished_at)
    SELECT gen_random_uuid(), CASE mod(n, 2) WHEN 0 THEN 'tests.trial.record' ELSE 'tests.trial.long' END,
        jsonb_build_object('number', n), CASE mod(n, 2) WHEN 0 THEN 'quick' ELSE 'media' END, %s, 3, mod(n, 4000) + 1,
"""
DONE = """
        'succeeded', 3, 1, 5, at, at, 'worker:' || mod(n, 8), 1, 'null', at, at, at + mod(n, 60) * interval '1 s'
    FROM (SELECT n, now() - n * interval '2 s' AS at FROM generate_series(1, %s) AS n) AS made
"""
QUEUED = """
        'queued', 1, 0, 5, at, at, '', NULL, NULL, at, NULL, NULL
    FROM (SELECT n, now() - interval '1 h' + n * interval '1 ms' AS at FROM generate_series(1, %s) AS n) AS made
"""


def main() -> None:
    succeeded, waiting = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (SUCCEEDED, WAITING)
    with running(only=["web", "valkey"], API_REQUESTS_PER_MINUTE="1000000") as site:
        from tests.client import Client

        with Client(site) as client:
            fill(client.user.pk, succeeded, waiting)
            jobs = {name: f"/api/jobs/{pk}" for name, pk in chosen(client.user)}
            milliseconds = {name: ask(client, url) for name, url in {**jobs, "the latest 50": "/api/jobs"}.items()}
    print_rows(
        ["milliseconds", "p50", "p95"],
        [[name, *(f"{percentile(some, part):.1f}" for part in (0.5, 0.95))] for name, some in milliseconds.items()],
    )
    conclude(
        "outlook",
        {
            f"{name}, p{part:.0%}"[:-1]: percentile(some, part)
            for name, some in milliseconds.items()
            for part in (0.5, 0.95)
        },
        [target(f"{name}, p95", percentile(some, 0.95), at_most=BOUND) for name, some in milliseconds.items()],
    )


def fill(owner: int, succeeded: int, waiting: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(MADE + DONE, [owner, succeeded])
        cursor.execute(MADE + QUEUED, [owner, waiting])
        cursor.execute("VACUUM ANALYZE jobs_job")


def chosen(owner: object) -> list[tuple[str, object]]:
    """Jobs of each kind, of which one runs in each queue."""
    from jobs.models import Job, State

    found: list[tuple[str, object]] = [("finished", Job.objects.filter(state=State.SUCCEEDED)[0].pk)]
    for queue in ("quick", "media"):
        line = Job.objects.in_line(queue)
        [started] = Job.objects.filter(pk=line[0].pk).start("worker")
        found.append((f"running, in {queue}", started.pk))
        found += [(f"{place}th in {queue}", line[place - 1].pk) for place in (10, 1000, 5000)]
    return found


def ask(client: "Client", url: str) -> list[float]:
    taken = []
    for _ in range(WARM_UP + REQUESTS):
        began = time.perf_counter()
        client.get(url).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
    return taken[WARM_UP:]


if __name__ == "__main__":
    main()
