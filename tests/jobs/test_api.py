"""Jobs over HTTP: what their owner sees of them and may do with them, and the document that says so."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from playwright.sync_api import Page, expect

from config.examples import NoExample, example_of
from jobs.models import Job, State
from tests.browser import log_in
from tests.client import PASSWORD, Client, Visitor, new_email
from tests.contract import PROBLEM, check, refused
from tests.stack import Stack
from tests.trial.tasks import fail, record

FORMATS = Draft202012Validator.FORMAT_CHECKER


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    """Without workers: what they would do to a job, the tests do."""
    return make_module_stack(only=["web", "valkey"])


@pytest.fixture(scope="module")
def document(site: Stack) -> dict[str, Any]:
    return site.http.get("/api/openapi.json").json()


@pytest.fixture
def client(site: Stack, document: dict[str, Any]) -> Iterator[Client]:
    """A new person's program. All that it is answered must be as the document says, and give nothing away."""
    with Client(site, new_email()) as client:
        yield client
        check(client.answers, document)


@pytest.fixture
def stranger(site: Stack) -> Iterator[Client]:
    with Client(site, new_email()) as client:
        yield client


def job_in(site: Stack, state: State, client: Client) -> str:
    """Where a job of this person is that has come to this state by real moves."""
    with site.inside():
        job = fail.enqueue(message="card 17 was declined", owner=client.user)
        mine = Job.objects.filter(pk=job.pk)
        if state not in (State.QUEUED, State.CANCELLED):
            [job] = mine.start("worker-1:7")
        if state == State.RETRYING:
            job.retry(ValueError("/tmp/x.py: card 17 was declined"), "Sorry.", timedelta(minutes=1))
        if state == State.SUSPENDED:
            mine.suspend("Waits for its parts")
        if state == State.SUCCEEDED:
            job.succeed({"answer": 42})
        if state == State.DEAD:
            job.bury(ValueError("/tmp/x.py: card 17 was declined"), "Sorry.")
        if state == State.CANCELLED:
            mine.cancel()
        assert mine.get().state == state
    return f"/api/jobs/{job.pk}"


# --- looking ---


def test_a_person_sees_only_their_own_jobs_the_newest_first(site, client, stranger):
    mine = [job_in(site, state, client) for state in State]
    job_in(site, State.QUEUED, stranger)
    assert [job["links"]["self"] for job in client.get("/api/jobs").json()] == mine[::-1]


def test_the_list_comes_in_pages_that_lead_to_each_other(site, client):
    with site.inside():
        moment = timezone.now()
        jobs = [record.job(number=number, owner=client.user) for number in range(7)]
        for number, job in enumerate(jobs):
            job.created_at = moment - timedelta(seconds=number // 2)  # some in the same microsecond
        record.enqueue_many(jobs)
    listed, url = [], "/api/jobs?state=queued&limit=3"
    while url:
        answer = client.get(url)
        assert len(answer.json()) <= 3
        listed += [job["id"] for job in answer.json()]
        url = answer.links["next"]["url"] if "next" in answer.links else ""
        if url:
            record_later(site, client)
    assert listed == [str(job.pk) for job in sorted(jobs, key=lambda job: (job.created_at, job.pk), reverse=True)]


def record_later(site: Stack, client: Client) -> None:
    """Something new, which is to move nothing on the pages to come."""
    with site.inside():
        record.enqueue(number=9, owner=client.user)


@pytest.mark.parametrize("path", ["/api/jobs", "/api/videos", "/api/orders"])
def test_a_page_that_there_is_not_is_refused(client, path):
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": "x"}, {"after": "2026-11-24T12:00:00_x"}, {"after": "_"}):
        assert next(iter(wrong)) in refused(client.get(path, params=wrong), 422)
    assert client.get(path).json() == []


@pytest.mark.parametrize("state", State)
def test_jobs_are_listed_by_state(site, client, state):
    jobs = {each: job_in(site, each, client) for each in State}
    [listed] = client.get("/api/jobs", params={"state": state}).json()
    assert (listed["links"]["self"], listed["state"]) == (jobs[state], state)
    assert listed == client.get(jobs[state]).json()


@pytest.mark.parametrize("state", ["asleep", "", "QUEUED", "queued,running", "'; --"])
def test_a_state_that_there_is_not_is_refused_with_those_that_there_are(client, state):
    refusal = refused(client.get("/api/jobs", params={"state": state}), 422)
    assert "state: Input should be 'queued', 'running', 'suspended', 'retrying'" in refusal


def test_what_went_wrong_is_told_in_the_words_meant_for_the_owner(site, client):
    job = client.get(job_in(site, State.DEAD, client)).json()
    assert job["error"] == {"type": "ValueError", "message": "Sorry."}


def test_a_job_that_has_not_finished_says_when_to_ask_again(site, client):
    for state in State:
        answer = client.get(job_in(site, state, client))
        unfinished = answer.json()["finished_at"] is None
        assert (
            (state in ("queued", "running", "suspended", "retrying")) == unfinished == ("retry-after" in answer.headers)
        )


# --- moving ---


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.RETRYING])
def test_work_that_has_not_finished_can_be_cancelled_once(site, client, state):
    location = job_in(site, state, client)
    before = client.get(location).json()["version"]

    cancelled = client.post(f"{location}/cancel")

    assert cancelled.status_code == 200
    job = cancelled.json()
    assert (job["state"], job["version"]) == ("cancelled", before + 1)
    assert job["finished_at"]
    refusal = refused(client.post(f"{location}/cancel"), 409)
    assert refusal == "This job is cancelled. You can cancel one that is queued, retrying, running or suspended."


@pytest.mark.parametrize("state", [State.DEAD, State.CANCELLED])
def test_work_that_failed_or_was_cancelled_can_be_requeued_once(site, client, state):
    location = job_in(site, state, client)

    requeued = client.post(f"{location}/requeue")

    assert (requeued.status_code, requeued.headers["location"]) == (202, location)
    assert float(requeued.headers["retry-after"]) > 0
    job = requeued.json()
    assert (job["state"], job["attempt"], job["error"], job["finished_at"]) == ("queued", 0, None, None)
    refusal = refused(client.post(f"{location}/requeue"), 409)
    assert refusal == "This job is queued. You can requeue one that is dead or cancelled."


def test_finished_work_is_neither_cancelled_nor_requeued(site, client):
    location = job_in(site, State.SUCCEEDED, client)
    for verb in ("cancel", "requeue"):
        assert refused(client.post(f"{location}/{verb}"), 409).startswith(f"This job is succeeded. You can {verb} one")
    assert client.get(location).json()["result"] == {"answer": 42}


def test_a_job_of_another_or_of_nobody_is_not_there(site, client, stranger):
    with site.inside():
        nobodys = record.enqueue(number=1)
    for location in (job_in(site, State.DEAD, stranger), f"/api/jobs/{nobodys.pk}", f"/api/jobs/{uuid.uuid4()}"):
        for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/requeue")):
            refused(client.request(method, location + path), 404)


# --- who asks, and what for ---


def test_strangers_are_told_to_sign_in_whatever_they_ask_for(site, document):
    asked = [(method, path) for path, operations in document["paths"].items() for method in operations]
    assert len(asked) >= 8
    for method, path in asked:
        path = re.sub(r"{\w+}", str(uuid.uuid4()), path)
        for header in ({}, {"Authorization": "Bearer nightshift_guessed"}, {"Authorization": "Basic ZGVtbzpkZW1v"}):
            answer = site.http.request(method, path, headers=header)
            assert "Authorization: Bearer" in refused(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_bad_token_is_not_made_good_by_a_session(site, client):
    visitor = Visitor(site, client)
    assert visitor.get("/api/jobs").status_code == 200
    refused(visitor.get("/api/jobs", headers={"Authorization": "Bearer nightshift_guessed"}), 401)
    visitor.close()


def test_a_foreign_page_cannot_move_a_job_through_the_browser_of_its_owner(site, client):
    location = job_in(site, State.QUEUED, client)
    visitor = Visitor(site, client)
    assert "CSRF" in refused(visitor.post(f"{location}/cancel"), 403)
    foreign = {**visitor.csrf, "Origin": "https://evil.example"}
    assert "CSRF" in refused(visitor.post(f"{location}/cancel", headers=foreign), 403)
    assert visitor.post(f"{location}/cancel", headers=visitor.csrf).json()["state"] == "cancelled"
    visitor.close()


@pytest.mark.parametrize("path", ["", "nothing", "jobs/17", "jobs/", "jobs/%00", "videos/../jobs/x"])
def test_an_address_that_there_is_not_is_a_problem_document_too(client, path):
    refused(client.get(f"/api/{path}"), 404)


def test_a_method_that_is_not_taken_is_a_problem_document_that_says_which_are(client):
    for method, path, taken in (("DELETE", "/api/jobs", {"GET"}), ("PUT", "/api/videos", {"GET", "POST"})):
        answer = client.request(method, path)
        assert "does not take that method" in refused(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == taken


# --- the document ---


def test_the_document_is_valid_openapi_and_anybody_may_read_it(document):
    validate(document)
    assert set(document["components"]["securitySchemes"]) == {"Bearer", "Session"}


def test_the_document_lists_every_refusal_as_a_problem_document(document):
    listed = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            refusals = {status for status in operation["responses"] if status >= "400"}
            listed[operation["operationId"]] = refusals - {"401", "429", "500"}
            assert refusals >= {"401", "429", "500"}
            assert refusals >= {"400", "413", "422"} or "requestBody" not in operation, (
                f"{method} {path} takes anything"
            )
            queried = any(parameter["in"] == "query" for parameter in operation.get("parameters", []))
            assert "422" in refusals or not queried, f"{method} {path} takes any query"
            assert "403" in refusals or method == "get", f"{method} {path} asks browsers for the CSRF token"
            assert "404" in refusals or "{" not in path, f"{method} {path} does not find what belongs to others"
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == [PROBLEM]
                    assert response["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}
                    assert response["content"][PROBLEM]["example"]["status"] == int(status)
                assert response["headers"].keys() >= {"RateLimit", "RateLimit-Policy"}
                if status == "202":
                    assert response["headers"].keys() >= {"Location", "Retry-After"}
    assert (
        listed.items()
        >= {
            "list_jobs": {"422"},
            "get_job": {"404", "422", "503"},
            "job_events": {"404", "503"},
            "cancel_job": {"403", "404", "409"},
            "requeue_job": {"403", "404", "409"},
            "upload_video": {"400", "403", "409", "413", "422", "503"},
            "list_videos": {"422"},
            "get_video": {"404"},
            "delete_video": {"403", "404"},
        }.items()
    )


def test_the_document_has_an_example_of_all_that_is_sent_and_answered(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for body in [*bodies, *operation["responses"].values()]:
                for described in body.get("content", {}).values():
                    assert "example" in described, f"{method} {path}"
                    schema = {**described["schema"], "components": document["components"]}
                    Draft202012Validator(schema, format_checker=FORMATS).validate(described["example"])


def test_a_field_without_an_example_is_noticed():
    schemas = {"Lamp": {"properties": {"lit": {"type": "boolean"}}}}
    with pytest.raises(NoExample, match=r"^lit: Give the field an example"):
        example_of({"items": {"$ref": "#/components/schemas/Lamp"}}, schemas)


def test_the_document_names_the_idempotency_key(document):
    [parameter] = document["paths"]["/api/videos"]["post"]["parameters"]
    assert (parameter["in"], parameter["name"]) == ("header", "Idempotency-Key")


@pytest.mark.browser
def test_the_document_can_be_read_and_tried_in_the_browser(site, client, page: Page):
    location = job_in(site, State.DEAD, client)
    Visitor(site, client).close()  # gives the person a password
    log_in(page, site.url, client.user.email, PASSWORD)
    page.get_by_role("link", name="API").click()
    expect(page.get_by_role("heading", name="Nightshift")).to_be_visible()

    page.get_by_text("Run a dead or cancelled job again", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_placeholder("job_id").fill(location.rpartition("/")[2])
    page.get_by_role("button", name="Execute").click()

    expect(page.locator(".live-responses-table").get_by_text("202", exact=True).first).to_be_visible()
    assert client.get(location).json()["state"] == "queued"
