"""Do the operators' pages stay quick when there are a million finished and 100,000 dead jobs?

Asks a running site on PostgreSQL for each page over HTTP, several times; then has 10,000 dead jobs requeued by filter,
and waits until the audit log has them all.

    python -m benchmarks.admin [succeeded] [dead]
"""

import re
import statistics
import sys
import time
from typing import TYPE_CHECKING

import httpx

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import running, static_files

if TYPE_CHECKING:
    from tests.stack import Stack

SUCCEEDED, DEAD, BULK = 1_000_000, 100_000, 10_000
ROUNDS = 5
BOUND = 1.0  # seconds, the slowest of the rounds
LIST = "/admin/jobs/job/"
FINGERPRINT = "f" * 16  # the most frequent death, of BULK jobs; the others have forty kinds

COMMON = """
    INSERT INTO jobs_job (id, task, args, queue, key, owner_id, priority, state, version, attempt, max_attempts, run_at,
        published_at, worker, progress, note, result, error, errors, fingerprint, created_at, started_at, finished_at)
    SELECT gen_random_uuid(), (ARRAY['tests.trial.nothing', 'tests.trial.record', 'tests.trial.long'])[1 + mod(n, 3)],
        jsonb_build_object('number', n), CASE mod(n, 3) WHEN 2 THEN 'media' ELSE 'quick' END,
        CASE WHEN mod(n, 10) = 0 THEN 'key:' || gen_random_uuid() END,
        (SELECT min(id) FROM accounts_user) + mod(n, 2), 3,
"""
FINISHED = """
        'succeeded', 3, 1, 5, at, at, 'worker:' || mod(n, 8), 1, '', jsonb_build_object('rows', n), NULL, '[]', '', at,
        at + interval '1 s', at + interval '3 s'
    FROM (SELECT n, now() - n * interval '2 s' AS at FROM generate_series(1, %s) AS n) AS made
"""
BURIED = """
        'dead', 9, 5, 5, at, at, 'worker:' || mod(n, 8), NULL, '', NULL,
        '{"type": "ConnectionError", "message": "Something went wrong on our side."}',
        (SELECT jsonb_agg(jsonb_build_object('attempt', attempt, 'error', 'ConnectionError', 'worker', 'worker:1',
            'message', 'host ' || n || ' does not answer', 'started_at', at, 'failed_at', at, 'traceback',
            repeat('  File "/srv/orders/payments.py", line ' || n || ', in charge' || chr(10), 20)))
            FROM generate_series(1, 5) AS attempt),
        CASE WHEN n <= %s THEN '{fingerprint}' ELSE lpad(to_hex(mod(n, 40)), 16, '0') END,
        at, at + interval '1 s', at + interval '3 s'
    FROM (SELECT n, now() - n * interval '19 s' AS at FROM generate_series(1, %s) AS n) AS made
""".replace("{fingerprint}", FINGERPRINT)

PAGES = {
    "first page": LIST,
    "state: dead": f"{LIST}?state=dead",
    "state: queued, where there are none": f"{LIST}?state=queued",
    "task": f"{LIST}?task=tests.trial.long",
    "task and state": f"{LIST}?task=tests.trial.long&state=dead",
    "task that never was": f"{LIST}?task=tests.trial.nobody",
    "queue": f"{LIST}?queue=media",
    "queue and state, where there are none": f"{LIST}?queue=media&state=cancelled",
    "owner": f"{LIST}?owner=demo@example.com",
    "owner and state": f"{LIST}?owner=demo@example.com&state=dead",
    "fingerprint": f"{LIST}?fingerprint={FINGERPRINT}",
    "time": f"{LIST}?since=20d&until=10d",
    "search that finds": f"{LIST}?search=123",
    "search that finds nothing": f"{LIST}?search=nothing-like-it",
    "search in a queue that finds nothing": f"{LIST}?queue=media&search=nothing-like-it",
    "dead letters": f"{LIST}dead/",
    "dead letters of a task": f"{LIST}dead/?task=tests.trial.long",
    "dry run of a bulk requeue": f"{LIST}move/requeue/?fingerprint={FINGERPRINT}",
    "audit log": "/admin/admin/logentry/",
}


def main() -> None:
    succeeded, dead = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (SUCCEEDED, DEAD)
    with running(only=["web", "worker-quick", "clock", "valkey"], STATIC_ROOT=static_files()) as site:
        operator = log_in(site)
        fill(succeeded, dead)
        pages = {**PAGES, "one job": a_page_of_a_job()}
        seconds = {name: [timed(operator, url) for _ in range(ROUNDS)] for name, url in pages.items()}
        print_rows(
            ["milliseconds", "median", "slowest"],
            [
                [name, f"{1000 * statistics.median(rounds):.0f}", f"{1000 * max(rounds):.0f}"]
                for name, rounds in seconds.items()
            ],
        )
        bulk_seconds, moved, audited = requeue_all(operator)
        again = timed(operator, pages["one job"])
    print_rows(["bulk requeue", "jobs", "seconds"], [["requeued and audited", moved, f"{bulk_seconds:.1f}"]])
    figures = {f"{name}, s": statistics.median(rounds) for name, rounds in seconds.items()}
    figures |= {"bulk requeue, s": bulk_seconds, "one job after it, s": again}
    conclude(
        "admin",
        figures,
        [
            *(target(f"{name}, slowest s", max(rounds), at_most=BOUND) for name, rounds in seconds.items()),
            target("jobs requeued in bulk", moved, at_least=min(BULK, dead)),
            target("of them in the audit log", audited, at_least=moved),
        ],
    )


def fill(succeeded: int, dead: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(COMMON + FINISHED, [succeeded])
        cursor.execute(COMMON + BURIED, [BULK, dead])
        cursor.execute("VACUUM ANALYZE jobs_job")


def log_in(site: "Stack") -> httpx.Client:
    from accounts.models import User

    User.objects.create_user("demo@example.com")
    User.objects.create_superuser("admin@example.com", "admin")
    client = httpx.Client(base_url=site.url, timeout=60)
    client.get("/admin/login/")
    who = {"username": "admin@example.com", "password": "admin"}
    client.post("/admin/login/", data={**who, "csrfmiddlewaretoken": client.cookies["csrftoken"]})
    return client


def a_page_of_a_job() -> str:
    from jobs.models import Job

    return f"{LIST}{Job.objects.filter(fingerprint=FINGERPRINT)[0].pk}/change/"


def timed(client: httpx.Client, url: str) -> float:
    began = time.perf_counter()
    response = client.get(url)
    took = time.perf_counter() - began
    assert response.status_code == 200, f"{url} answered {response.status_code}"
    return took


def requeue_all(client: httpx.Client) -> tuple[float, int, int]:
    """From the confirmation to the end of the job that did it: the seconds, the jobs moved, their audit entries."""
    from django.contrib.admin.models import LogEntry

    from jobs.models import Job
    from tests.waiting import wait_until

    url = f"{LIST}move/requeue/"
    page = client.get(url, params={"fingerprint": FINGERPRINT}).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    began = time.perf_counter()
    client.post(url, data={"fingerprint": FINGERPRINT, "csrfmiddlewaretoken": token[1]})
    bulk = wait_until(lambda: Job.objects.filter(task="jobs.bulk_move", state="succeeded").first(), timeout=120)
    took = time.perf_counter() - began
    return took, bulk.result["moved"], LogEntry.objects.filter(change_message__contains=str(bulk.pk)).count()


if __name__ == "__main__":
    main()
