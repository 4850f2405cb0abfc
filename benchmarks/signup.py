"""How long does signing up take, beyond the hashing of the password, which is slow on purpose?

python -m benchmarks.signup [people]
"""

import sys
import time
from typing import TYPE_CHECKING

import httpx

from benchmarks.report import conclude, percentile, print_rows, target
from benchmarks.site import prepare, running

if TYPE_CHECKING:
    from tests.stack import Stack

PEOPLE = 60
WARM_UP = 5
BOUND = 50  # milliseconds, median


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    figures = {}
    for mail in ("up", "down"):
        with running(EMAIL_URL="smtp://127.0.0.1:1" if mail == "down" else "", STATIC_ROOT=static_files()) as site:
            took = beyond_hashing(site, number + WARM_UP)[WARM_UP:]
        figures[f"mail server {mail}, p50 ms"] = 1000 * percentile(took, 0.5)
        figures[f"mail server {mail}, p95 ms"] = 1000 * percentile(took, 0.95)
    print_rows(["signing up, beyond hashing", ""], [[name, f"{value:.1f}"] for name, value in figures.items()])
    conclude(
        "signup", figures, [target(name, value, at_most=BOUND) for name, value in figures.items() if "p50" in name]
    )


def static_files() -> str:
    """What the pages of a site as in production refer to."""
    prepare()
    from django.conf import settings
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    return str(settings.STATIC_ROOT)


def beyond_hashing(site: "Stack", number: int) -> list[float]:
    """Seconds that each of so many people waits for the answer to the form, less what hashing a password takes.

    Each is measured beside a hashing of its own, so that a machine that gets slower does not count.
    """
    took = []
    for person in range(number):
        password = f"the password of person {person}"
        hashing = hash_password(password)
        took.append(sign_up(site.url, f"person{person}@example.com", password) - hashing)
    return took


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


if __name__ == "__main__":
    main()
