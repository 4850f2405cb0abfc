"""Whether a site answers as its OpenAPI document says it does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from tests.client import Client, new_email
from tests.stack import Stack

PROBLEM = "application/problem+json"

# What only operators may see: paths of the machine, words of Python, of ffmpeg and of databases.
SECRETS = re.compile(
    r"/tmp/|\.py\b|Traceback|Exception|ffmpeg|ffprobe|\bmoov\b|Invalid data|SELECT|psycopg|sqlite", re.IGNORECASE
)


def refused(answer: httpx.Response, status: int) -> str:
    """The detail of a problem document, which this answer is to be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem.keys() >= {"type", "title", "status", "detail"}
    assert problem["status"] == status
    return problem["detail"]


@contextmanager
def checked_client(site: Stack) -> Iterator[Client]:
    """A new person's program. All that it is answered must be as the document says, and give nothing away."""
    with Client(site, new_email()) as client:
        yield client
        check(client.answers, site.http.get("/api/openapi.json").json())


def check(answers: list[httpx.Response], document: dict[str, Any]) -> None:
    """Fail if one of these answers is not as the document says, or gives something away."""
    for answer in answers:
        if not answer.request.url.path.startswith("/api/"):
            continue
        assert not SECRETS.search(answer.text), answer.text
        operation = _operation(answer.request, document)
        if operation is None:
            continue
        asked = f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}"
        assert str(answer.status_code) in operation["responses"], f"{asked}, which the document does not list"
        content = operation["responses"][str(answer.status_code)].get("content", {})
        assert list(content) == [answer.headers["content-type"].partition(";")[0]] if answer.content else not content
        for described in content.values():
            schema = {**described["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(answer.json())


def _operation(request: httpx.Request, document: dict[str, Any]) -> dict[str, Any] | None:
    for path, operations in document["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.url.path):
            return operations.get(request.method.lower())
    return None
