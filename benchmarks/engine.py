"""What does a durable job cost, against a bare Celery task that does the same nothing, with the same two workers?

For each lane the workers are frozen while the work is handed in, and then timed until it is done. Lanes take turns.
Bare Celery: `apply_async()` with a producer at hand, and messages that are acknowledged early, so lost with a worker.

    python -m benchmarks.engine [rounds]
"""

import signal
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kombu.connection import Connection

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.stack import Stack

ROUNDS = 5
SINGLES = 2_000
MANY = 10_000
POLL = 0.05  # seconds: to look more often would take from the workers what is measured

Rates = dict[str, list[float]]  # per second, by what was measured


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    figures: dict[str, float] = {}
    for database in ("postgres", "sqlite"):
        with running(database=database, only=["worker-quick", "clock", "valkey"]) as site:
            rates = take_turns(site, rounds)
        medians = {name: statistics.median(values) for name, values in rates.items()}
        print_rows([f"per second, on {database}", "median"], [[name, f"{rate:,.0f}"] for name, rate in medians.items()])
        figures |= {f"{database}: {name}": rate for name, rate in medians.items()}
        if database == "postgres":
            targets = compare(rates, medians)
    conclude("engine", figures, targets)


def compare(rates: Rates, medians: dict[str, float]) -> list[dict[str, object]]:
    """Ratios within each round, whose lanes ran side by side, and then their median."""

    def ratio(ours: str) -> float:
        return statistics.median(one / bare for one, bare in zip(rates[ours], rates["drain, bare Celery"], strict=True))

    return [
        target("drain of single jobs against bare Celery", ratio("drain, single jobs"), at_least=0.6),
        target("drain of enqueue_many jobs against bare Celery", ratio("drain, enqueue_many"), at_least=1.2),
        target("enqueue_many, jobs per second", medians["enqueue_many"], at_least=10_000),
    ]


def take_turns(site: "Stack", rounds: int) -> Rates:
    from django.conf import settings

    from tests.trial.tasks import nothing, plain_nothing

    def bare() -> None:
        with Connection(settings.CELERY_BROKER_URL) as connection, connection.Producer() as producer:
            for number in range(SINGLES):
                plain_nothing.apply_async([number], producer=producer, retry=False)

    def singles() -> None:
        for number in range(SINGLES):
            nothing.enqueue(number=number)

    def many() -> None:
        nothing.enqueue_many([nothing.job(number=number) for number in range(MANY)])

    lanes: list[tuple[str, str, int, Callable[[], None]]] = [
        ("send, bare Celery", "drain, bare Celery", SINGLES, bare),
        ("enqueue, single jobs", "drain, single jobs", SINGLES, singles),
        ("enqueue_many", "drain, enqueue_many", MANY, many),
    ]
    rates: Rates = {}
    for turn in range(rounds + 1):
        for hand_in, drain, number, work in lanes[turn % 3 :] + lanes[: turn % 3]:
            handed_in, drained = one_turn(site, work)
            if turn:  # the first round warms up
                rates.setdefault(hand_in, []).append(number / handed_in)
                rates.setdefault(drain, []).append(number / drained)
    return dict(sorted(rates.items()))


def one_turn(site: "Stack", work: Callable[[], None]) -> tuple[float, float]:
    """Seconds to hand the work in, and seconds to get it done."""
    site.kill("worker-quick", signal.SIGSTOP)
    began = time.perf_counter()
    work()
    handed_in = time.perf_counter() - began
    began = time.perf_counter()
    site.kill("worker-quick", signal.SIGCONT)
    while not done():
        time.sleep(POLL)
    return handed_in, time.perf_counter() - began


def done() -> bool:
    from jobs.models import UNFINISHED, Job

    return not (unacknowledged_or_waiting() or Job.objects.filter(state__in=UNFINISHED).exists())


def unacknowledged_or_waiting() -> int:
    from jobs import broker

    with broker._connection().channel() as channel:
        return broker.waiting_messages("quick") + channel.client.hlen("unacked")


if __name__ == "__main__":
    main()
