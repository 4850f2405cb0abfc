"""Whatever is sent to the API, it answers as its document says: no 5xx, no status, type or body that is not listed."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from jobs.api import LONGEST_WAIT
from jobs.models import Job
from orders.models import Product
from tests.client import Client, new_email
from tests.stack import Stack
from tests.trial.tasks import nothing
from videos.models import Video

pytestmark = pytest.mark.chaos  # long with CHAOS=long

LONG = os.environ.get("CHAOS") == "long"
SECONDS = 600 if LONG else 15  # for all operations together
EXAMPLES = 1000 if LONG else 10  # of each, at most
CHECKED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    """Without workers: what is enqueued goes no further, and nothing is sent anywhere."""
    site = make_module_stack(only=["web", "valkey"], API_REQUESTS_PER_MINUTE="1000000")
    with site.inside():
        Product.objects.create(name="Night lamp", about="Glows.", price=1200, currency="eur")
    return site


@pytest.fixture(scope="module")
def own(site: Stack) -> dict[str, list[str]]:
    """Things of the person who asks, by the parameter that names them. Waiting for a finished job ends at once."""
    with Client(site, new_email()) as client:
        with site.inside():
            jobs = [nothing.enqueue(number=number, owner=client.user) for number in range(3)]
            Job.objects.filter(pk__in=[job.pk for job in jobs]).cancel()
            videos = [str(Video.objects.create(owner=client.user, title="Harbour").pk) for _ in range(3)]
        endpoint = client.post("/api/webhooks", json={"url": "https://example.com/hook"})
        return {
            "job_id": [str(job.pk) for job in jobs],
            "endpoint_id": [endpoint.json()["id"]],
            "video_id": videos,
            "token": [client.token],
        }


def test_the_api_answers_as_its_document_says_whatever_it_is_sent(site, own):
    schema = schemathesis.openapi.from_url(f"{site.url}/api/openapi.json")
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) > 10
    deadline = time.monotonic() + SECONDS
    asked, wrong = 0, []
    for number, operation in enumerate(operations):
        until = time.monotonic() + (deadline - time.monotonic()) / (len(operations) - number)
        try:
            asked += try_out(operation, own, lambda until=until: time.monotonic() < until)
        except Exception as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)
    print(f"{asked} requests to {len(operations)} operations")
    assert asked > 3 * len(operations)


def try_out(operation: Any, own: dict[str, list[str]], in_time: Callable[[], bool]) -> int:
    """Send requests, well formed and not, of which half are about things that there are. Returns how many."""
    sent, wrong, session = 0, False, requests.Session()
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    cases = modes.flatmap(lambda mode: operation.as_strategy(generation_mode=mode))

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, st.booleans(), st.randoms(use_true_random=False))
    def one(case: Case, about_own: bool, random: Any) -> None:
        nonlocal sent, wrong
        if not (in_time() or wrong):  # what went wrong is tried again, so that it can be told
            return
        if about_own:
            for name in case.path_parameters.keys() & own.keys():
                case.path_parameters[name] = random.choice(own[name])
        if str(wait := case.query.get("wait")).isdecimal() and 1 < int(wait) <= LONGEST_WAIT:
            case.query["wait"] = 1  # who has the newest version of a job may wait for another for ever
        headers = {"Authorization": f"Bearer {own['token'][0]}"}
        wrong = True
        case.call_and_validate(headers=headers, checks=CHECKED, session=session, timeout=20)
        wrong = False
        sent += 1

    one()
    return sent
