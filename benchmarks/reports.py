"""What do reports over 1,000,000 orders cost, against PostgreSQL's own COPY of the same table?

rows: the job that writes every order as CSV, from its start to its success, by a worker as it is in production. Beside
it a bare `COPY (SELECT …) TO STDOUT (FORMAT csv)` of the same columns through psycopg into a file, by one process.
excel, pdf: the jobs of the totals. Memory: the most that the worker's process ever held. Lanes take turns.

    python -m benchmarks.reports [rounds] [orders]
"""

import csv
import statistics
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import psycopg

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import running
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.stack import Stack

ROUNDS = 5
ORDERS = 1_000_000

BARE = """
COPY (
    SELECT id, created_at, product_id, quantity, amount, currency, country, owner_id, paid_at, declined_at, refunded_at
    FROM orders_order
) TO STDOUT (FORMAT csv)
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    orders = int(sys.argv[2]) if len(sys.argv) > 2 else ORDERS
    with running(only=["worker-reports", "clock", "valkey"]) as site:
        site.manage("seed", "--orders", str(orders))
        with psycopg.connect(site.env["DATABASE_URL"]) as connection:
            connection.execute("ANALYZE")  # as PostgreSQL does by itself within minutes
        times = take_turns(site, rounds)
        memory = peak(site)
        right = sums_agree(site)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratio = statistics.median(bare / rows for bare, rows in zip(times["bare COPY"], times["rows"], strict=True))
    print_rows([f"{orders:,} orders", "seconds"], [[name, f"{seconds:.2f}"] for name, seconds in medians.items()])
    print_rows(["", ""], [["rows, speed against bare COPY", f"{ratio:.2f}"], ["worker, MB at most", f"{memory:.0f}"]])
    conclude(
        "reports",
        medians,
        [
            target("CSV of all rows, speed against bare COPY", ratio, at_least=0.5),
            target("memory of the worker, MB at most", memory, at_most=300),
            target("files whose sums are those of SQL", right, at_least=2),
        ],
    )


def take_turns(site: "Stack", rounds: int) -> dict[str, list[float]]:
    lanes = {
        "rows": lambda: made("csv", "rows"),
        "bare COPY": lambda: bare_copy(site),
        "excel": lambda: made("xlsx"),
        "pdf": lambda: made("pdf"),
    }
    times: dict[str, list[float]] = {name: [] for name in lanes}
    for turn in range(rounds + 1):
        for name, measure in lanes.items():
            seconds = measure()
            if turn:  # the first round warms up
                times[name].append(seconds)
    return times


def made(form: str, detail: str = "totals") -> float:
    """Seconds that the job of a report over everything ran."""
    job = ask(form, detail)
    wait_until(lambda: refreshed(job).finished, timeout=600)
    assert job.state == "succeeded", job.errors
    return (job.finished_at - job.started_at).total_seconds()


def ask(form: str, detail: str) -> Any:
    from django.utils import timezone

    from accounts.models import User
    from reports import requesting
    from reports.period import Period

    boss = User.objects.filter(is_staff=True).first() or User.objects.create_user("boss@example.com", is_staff=True)
    today = timezone.now().date()
    return requesting.ask(boss, "sales", Period(today - timedelta(days=500), today), form, detail).job


def refreshed(job: Any) -> Any:
    job.refresh_from_db()
    return job


def bare_copy(site: "Stack") -> float:
    began = time.perf_counter()
    with (
        psycopg.connect(site.env["DATABASE_URL"]) as connection,
        Path(site.folder, "bare.csv").open("wb") as file,
        connection.cursor().copy(BARE) as copy,
    ):
        for line in copy:
            file.write(line)
    return time.perf_counter() - began


def peak(site: "Stack") -> float:
    """Megabytes that the process which ran the jobs held at most, by the kernel's own count."""
    [worker] = site.children("worker-reports")
    line = next(line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def sums_agree(site: "Stack") -> int:
    """How many of the two files, CSV of all rows and Excel, come to what SQL says."""
    from reports.models import Report

    def newest(form: str) -> Path:
        return Path(
            site.folder, "media", Report.objects.filter(format=form).exclude(file="").latest("created_at").file.name
        )

    with psycopg.connect(site.env["DATABASE_URL"]) as connection:
        said = connection.execute(
            "SELECT count(*), sum(amount), sum(amount) FILTER (WHERE paid_at IS NOT NULL AND refunded_at IS NULL) "
            "FROM orders_order"
        ).fetchone()
    number, amount = 0, Decimal(0)
    with newest("csv").open(newline="") as file:
        for line in csv.DictReader(file):
            number += 1
            amount += Decimal(line["amount"])
    rows = openpyxl.load_workbook(newest("xlsx"), read_only=True)["By country"].iter_rows(min_row=2, values_only=True)
    totals = [(row[2], Decimal(str(row[7]))) for row in rows]
    in_excel = (sum(orders for orders, _ in totals), sum(net for _, net in totals))
    return sum([(number, amount * 100) == said[:2], (in_excel[0], in_excel[1] * 100) == (said[0], said[2])])


if __name__ == "__main__":
    main()
