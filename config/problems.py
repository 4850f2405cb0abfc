"""Errors of the API as `application/problem+json` (RFC 9457), wherever in the stack they arise."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

CONTENT_TYPE = "application/problem+json"

DETAILS = {
    400: "The request could not be understood.",
    401: "Sign in, or send a token: Authorization: Bearer …",
    403: "This is not allowed. From a browser, send the CSRF token.",
    404: "There is nothing here that you can see.",
    405: "This address does not take that method.",
    413: "The request is too large.",
    500: "Something went wrong on our side. It has been recorded.",
}


def problem(status: int, detail: str = "", **more: Any) -> bytes:
    """The body of an error answer. `more` are extension members."""
    title = HTTPStatus(status).phrase
    detail = detail or DETAILS.get(status, title)
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, **more}).encode()


class ProblemMiddleware:
    """Turns whatever error page Django or Ninja would give below /api/ into a problem document."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        failed = response.status_code >= 400 and request.path.startswith("/api/")
        if failed and response["Content-Type"] != CONTENT_TYPE:
            response.content = problem(response.status_code)
            response["Content-Type"] = CONTENT_TYPE
        return response
