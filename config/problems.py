"""Errors of the API as `application/problem+json` (RFC 9457), wherever in the stack they arise."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja.errors import HttpError
from starlette.responses import Response

from files.stored import StoreAway
from jobs.api import Later

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

CONTENT_TYPE = "application/problem+json"

DETAILS = {
    400: "The request could not be understood.",
    401: "Sign in, or send a token: Authorization: Bearer …",
    403: "This is not allowed. From a browser, send the CSRF token.",
    404: "There is nothing here that you can see.",
    405: "This address does not take that method.",
    409: "This cannot be done now: the thing has moved on.",
    413: "The request is too large.",
    422: "A part of the request is not as it should be.",
    429: "You ask too often.",
    503: "This cannot be done at the moment. Try again after a while.",
    500: "Something went wrong on our side. It has been recorded.",
}


TITLES = {460: "Checksum Mismatch"}  # of the tus protocol, which HTTP does not know


def problem(status: int, detail: str = "", **more: Any) -> bytes:
    """The body of an error answer. `more` are extension members."""
    title = TITLES.get(status) or HTTPStatus(status).phrase
    detail = detail or DETAILS.get(status, title)
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, **more}).encode()


def headers(error: HttpError) -> dict[str, str]:
    """What an error says besides the document: how to sign in, when to come back."""
    if error.status_code == 401:
        return {"WWW-Authenticate": "Bearer"}
    return error.headers if isinstance(error, Later) else {}


def later(away: StoreAway) -> Later:
    return Later(503, f"{away} Try again in a minute.", away.retry_after.seconds)


class Problems:
    """Answers what an ASGI app beside Django refuses, as Ninja's exception handlers do for the operations."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except HttpError as error:
            await as_problem(error)(scope, receive, send)
        except StoreAway as away:
            await as_problem(later(away))(scope, receive, send)


def as_problem(error: HttpError) -> Response:
    body = problem(error.status_code, "" if error.status_code == 401 else error.message)
    return Response(body, error.status_code, headers(error), CONTENT_TYPE)


class ProblemMiddleware:
    """Turns whatever error page Django or Ninja would give below /api/ into a problem document.

    And to a page that cannot be had without our files, while they are away, it answers that one has to wait.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        failed = response.status_code >= 400 and request.path.startswith("/api/")
        if failed and response["Content-Type"] != CONTENT_TYPE:
            response.content = problem(response.status_code)
            response["Content-Type"] = CONTENT_TYPE
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, StoreAway):
            return None
        response = render(request, "503.html", status=503)
        response["Retry-After"] = later(error).headers["Retry-After"]
        return response
