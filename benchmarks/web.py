"""How long does a person wait for an answer that starts background work, with the broker up and with it down?

sign-up: the form of the page, which hashes a password. What that alone costs, on purpose, is measured beside it.
order: `POST /api/orders`, which writes the order and the job that charges it.
report: `POST /api/reports`, which writes the report and the job that makes it.
burst: 1,000 small uploads at once. Each must be answered 202, with its file and its job kept.

One request at a time, each lane taking turns with the others; only the burst is concurrent.

    python -m benchmarks.web [requests of each kind]
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from benchmarks.report import conclude, percentile, print_rows, target
from benchmarks.site import running, static_files
from tests.media import clip

if TYPE_CHECKING:
    from tests.stack import Stack

REQUESTS = 200
WARM_UP = 10
BURST = 1_000
PASSWORD = "a password of the benchmark"
LINES = ["web", "worker-payments", "worker-mail", "clock", "gateway", "valkey"]

numbers = itertools.count(1)
Times = dict[str, list[float]]  # milliseconds, by what was asked for


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    with running(only=LINES, STATIC_ROOT=static_files(), STRIPE_WEBHOOK_SECRET="whsec_sandbox") as site:
        site.manage("seed")
        with httpx.Client(base_url=site.url, headers=token(), timeout=30) as person:
            up = take_turns(site, person, requests)
            site.stop("valkey")
            down = take_turns(site, person, requests)
        site.start_again("valkey")
        answers, burst = asyncio.run(burst_of_uploads(site, token()))
        kept = count_kept(site)
    figures = describe("broker up", up) | describe("broker down", down)
    figures |= {"burst: seconds to the last answer": burst, "burst: answered 202": answers, "burst: kept": kept}
    print_rows(["milliseconds, or as said", ""], [[name, f"{value:,.1f}"] for name, value in figures.items()])
    conclude("web", figures, targets(figures))


def token() -> dict[str, str]:
    """Of a new person."""
    from accounts import tokens
    from accounts.models import User

    person = User.objects.create_user(f"person{next(numbers)}@example.com")
    return {"Authorization": f"Bearer {tokens.create(person, 'benchmark')}"}


def targets(figures: dict[str, float]) -> list[dict[str, object]]:
    slower = figures["broker down: order, p95"] - figures["broker up: order, p95"]
    return [
        *(
            target(
                f"sign-up beyond hashing with the broker {way}, p50 ms",
                figures[f"broker {way}: sign-up beyond hashing, p50"],
                at_most=50,
            )
            for way in ("up", "down")
        ),
        target("order with the broker down, p95 ms", figures["broker down: order, p95"], at_most=1_000),
        target("report request with the broker down, p95 ms", figures["broker down: report, p95"], at_most=1_000),
        target("what a broker that is down adds to an order, p95 ms", slower, at_most=300),
        target("uploads of the burst answered 202", figures["burst: answered 202"], at_least=BURST),
        target("uploads of the burst kept", figures["burst: kept"], at_least=BURST),
    ]


def take_turns(site: "Stack", person: httpx.Client, requests: int) -> Times:
    product = person.get("/api/products").json()[0]["id"]
    lanes: dict[str, Callable[[], float]] = {
        "sign-up": lambda: sign_up(site.url, f"visitor{next(numbers)}@example.com", PASSWORD),
        "order": lambda: order(person, product),
        "report": lambda: report(person),
        "hashing alone": lambda: hash_password(PASSWORD),
    }
    times: Times = {name: [] for name in lanes}
    for turn in range(requests + WARM_UP):
        for name, measure in lanes.items():
            seconds = measure()
            if turn >= WARM_UP:
                times[name].append(1000 * seconds)
    return times


def hash_password(password: str) -> float:
    from django.contrib.auth.hashers import make_password

    began = time.perf_counter()
    make_password(password)
    return time.perf_counter() - began


def sign_up(site: str, email: str, password: str) -> float:
    """Seconds from sending the form to its answer."""
    with httpx.Client(base_url=site, timeout=30) as visitor:
        visitor.get("/signup").raise_for_status()
        form = {"email": email, "password": password, "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        began = time.perf_counter()
        answer = visitor.post("/signup", data=form)
        took = time.perf_counter() - began
    assert answer.status_code == 302, answer.text
    return took


def order(person: httpx.Client, product: int) -> float:
    wish = {"product": product, "quantity": 1, "payment_method": "pm_card_visa"}
    began = time.perf_counter()
    answer = person.post("/api/orders", json=wish)
    took = time.perf_counter() - began
    assert answer.status_code == 202, answer.text
    return took


def report(person: httpx.Client) -> float:
    """One of a new person: of each only so many may be in the making, and here nobody makes them."""
    wish = {"kind": "sales", "from": "2026-06-01", "to": "2026-06-28", "format": "pdf"}
    somebody = token()
    began = time.perf_counter()
    answer = person.post("/api/reports", json=wish, headers=somebody)
    took = time.perf_counter() - began
    assert answer.status_code == 202, answer.text
    return took


async def burst_of_uploads(site: "Stack", headers: dict[str, str]) -> tuple[int, float]:
    """How many were answered 202, and the seconds to the last answer.

    Each over a connection of its own: one that idled while the others were made would be closed by the server.
    """
    content = clip(Path(site.folder), seconds=1, size="320x240").read_bytes()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=300, limits=limits) as people:

        async def upload(number: int) -> int:
            answer = await people.post("/api/videos", files={"file": (f"burst{number}.mp4", content)})
            return answer.status_code

        await upload(0)  # outside the measurement
        began = time.perf_counter()
        statuses = await asyncio.gather(*map(upload, range(1, BURST + 1)))
        return statuses.count(202), time.perf_counter() - began


def count_kept(site: "Stack") -> int:
    """The uploads of the burst that have their file, their row and a job that waits to be run."""
    from jobs.models import UNFINISHED
    from videos.models import Video

    videos = Video.objects.filter(job__state__in=UNFINISHED).select_related("job")
    kept = [video for video in videos if (site.folder / "media" / video.original.name).stat().st_size > 0]
    return len(kept) - 1


def describe(lane: str, times: Times) -> dict[str, float]:
    figures = {}
    for name, milliseconds in times.items():
        figures[f"{lane}: {name}, p50"] = percentile(milliseconds, 0.5)
        figures[f"{lane}: {name}, p95"] = percentile(milliseconds, 0.95)
    pairs = zip(times["sign-up"], times["hashing alone"], strict=True)  # each measured beside the other
    figures[f"{lane}: sign-up beyond hashing, p50"] = statistics.median(one - hashing for one, hashing in pairs)
    return figures


if __name__ == "__main__":
    main()
