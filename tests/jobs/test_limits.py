"""How often one may call the API, as the standard headers say it."""

import re
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from config import parts
from config.limits import _network
from jobs.models import Job
from tests.client import Client, Visitor, new_email, sign_up
from tests.contract import check, refused
from tests.stack import Stack
from tests.waiting import wait_until

USER, STRANGER = 12, 5  # requests a minute
MAILS = 3  # an hour


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    site = make_module_stack(
        only=["web", "valkey"],
        API_REQUESTS_PER_MINUTE=str(USER),
        API_STRANGER_REQUESTS_PER_MINUTE=str(STRANGER),
        STRANGER_MAILS_PER_HOUR=str(MAILS),
    )
    wait_until(parts.valkey_socket(site.folder).exists)
    return site


@pytest.fixture
def client(site: Stack) -> Iterator[Client]:
    early_in_the_minute()
    with Client(site, new_email()) as client:
        yield client
        check(client.answers, site.http.get("/api/openapi.json").json())


def early_in_the_minute() -> None:
    """Where the count does not begin anew while a test counts."""
    wait_until(lambda: time.time() % 60 < 50, timeout=15)


def remaining(answer: httpx.Response) -> int:
    assert answer.headers["ratelimit-policy"] in (f'"user";q={USER};w=60', f'"stranger";q={STRANGER};w=60')
    said = re.fullmatch(r'"(user|stranger)";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert said and 1 <= int(said[3]) <= 60
    return int(said[2])


def test_each_answer_says_how_much_is_left_whichever_way_its_user_came(site, client):
    assert remaining(client.get("/api/jobs")) == USER - 1
    assert remaining(client.get("/api/jobs/00000000-0000-4000-8000-000000000000?wait=1")) == USER - 2
    assert remaining(client.get("/api/jobs", params={"state": "none"})) == USER - 3
    visitor = Visitor(site, client)
    assert remaining(visitor.get("/api/videos")) == USER - 4
    visitor.close()


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not_in_the_way(site, client):
    for _ in range(USER):
        assert client.get("/api/products").status_code == 200
    for path in ("/api/products", "/api/jobs/00000000-0000-4000-8000-000000000000/events"):
        answer = client.get(path)
        assert f"{USER} times a minute" in refused(answer, 429)
        assert remaining(answer) == 0
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    with Client(site, new_email()) as other:
        assert other.get("/api/products").status_code == 200


def test_strangers_share_the_quota_of_their_address_and_users_there_do_not(site, client):
    guesses = [site.http.get("/api/jobs", headers={"Authorization": f"Bearer guess{n}"}) for n in range(STRANGER + 1)]
    assert [guess.status_code for guess in guesses] == [401] * STRANGER + [429]
    assert remaining(guesses[0]) == STRANGER - 1
    assert client.get("/api/jobs").status_code == 200


def test_a_whole_network_of_ipv6_is_one_address():
    assert _network("2001:db8::1") == _network("2001:db8::ffff") != _network("2001:db8:1::1")
    assert _network("192.0.2.1") != _network("192.0.2.2")
    assert _network("") == "unknown"


def test_from_one_address_we_are_made_to_write_only_so_many_mails(site):
    """An hour may end meanwhile, and the count begin anew: once."""
    asked = [sign_up(site.url, new_email()) for _ in range(MAILS)]
    with httpx.Client(base_url=site.url) as visitor:
        visitor.get("/password-reset")
        form = {"email": new_email(), "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        asked += [visitor.post("/password-reset", data=form) for _ in range(MAILS + 1)]
    answer = asked[-1]
    assert (asked[0].status_code, answer.status_code) == (302, 429)
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    assert "sent too often, so nothing was done this time. Send it again in" in answer.text
    with site.inside():
        enqueued = Job.objects.filter(task__in=["mail.send_message", "accounts.send_reset_link"]).count()
    assert MAILS <= enqueued <= 2 * MAILS


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_without_valkey_nobody_is_counted_and_nobody_waits(site, client, number):
    pid = site.pid("valkey")
    site.kill("valkey", number)
    try:
        began = time.monotonic()
        answers = [client.get("/api/products") for _ in range(USER + 10)]
        took = time.monotonic() - began
    finally:
        site.kill("valkey", signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {200}
    assert took < 2, "and with a Valkey it would have been little less"
    wait_until(lambda: "ratelimit" in client.get("/api/products").headers, timeout=30)
    assert number == signal.SIGSTOP or site.pid("valkey") != pid
