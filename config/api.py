"""The API as a whole: who may call it, what is in it, how it says no."""

import json
import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.renderers import BaseRenderer
from ninja.security import HttpBearer, SessionAuth
from ninja.utils import check_csrf
from pydantic_core import to_json

from accounts import tokens
from accounts.models import User
from config import limits
from config.examples import example_of
from config.problems import CONTENT_TYPE, headers, later, problem
from files.stored import StoreAway
from jobs.api import router as jobs
from notifications.api import router as webhooks
from orders.api import orders, products
from reports.api import router as reports
from videos.api import multipart as multipart_uploads
from videos.api import router as videos
from videos.uploads import Refused

logger = logging.getLogger(__name__)


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User:
        if user := tokens.user_of(token):
            return counted(request, user)
        raise AuthenticationError  # whoever sends a token means it: there is no other way in


class Session(SessionAuth):
    """Asks for the CSRF token only where there is a user, so that strangers are told to sign in."""

    def __call__(self, request: HttpRequest) -> User | None:
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise HttpError(403, "Send the CSRF token, in the header X-CSRFToken.")
        return counted(request, request.user)


def counted(request: HttpRequest, user: User) -> User:
    """The user, who has not asked too often. Raises TooMany."""
    request.standing = limits.count_user(user.pk)  # type: ignore[attr-defined]
    return user


class Renderer(BaseRenderer):
    """JSON as Pydantic writes it, which also writes the answers 202 and what the sockets send."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return to_json(data)


class API(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """What Ninja knows of the operations, and what we do in all of them alike."""
        schema = super().get_openapi_schema(**kwargs)
        schemas = schema["components"]["schemas"]
        for operations in schema["paths"].values():
            for operation in operations.values():
                show(operation.get("requestBody", {}), schemas)
                for status, response in operation["responses"].items():
                    if status < 400:
                        show(response, schemas)
                    response.setdefault("headers", {}).update(headers_of(operation, status))
                    if status >= 400:
                        described = response["content"].pop("application/json")
                        response["content"] = {CONTENT_TYPE: {**described, "example": example(status)}}
        return schema


def headers_of(operation: dict[str, Any], status: int) -> dict[str, Any]:
    """Those that answers with this status have."""
    own = {401: ("WWW-Authenticate",), 202: ("Location", "Retry-After"), 429: ("Retry-After",), 503: ("Retry-After",)}
    names = ("RateLimit-Policy", "RateLimit", *own.get(status, ()))
    return {name: HEADERS[name] for name in names}


def example(status: int) -> dict[str, Any]:
    wrong = {"field": "limit", "message": "Input should be less than or equal to 100"}
    more = {"detail": "limit: " + wrong["message"], "errors": [wrong]} if status == 422 else {}
    return {**json.loads(problem(status)), **more}


def show(body: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give what is sent or answered an example, where the operation has none of its own."""
    for described in body.get("content", {}).values():
        if "example" not in described:
            described["example"] = example_of(described["schema"], schemas)


def header(description: str, example: Any, **schema: str) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "schema": {"type": kind, **schema}, "example": example}


HEADERS = {
    "Location": header("The address of the job.", "/api/jobs/5f0c…", format="uri-reference"),
    "Retry-After": header("Seconds after which to ask again.", 1),
    "RateLimit-Policy": header("How often you may ask: the quota `q` in `w` seconds.", '"user";q=6000;w=60'),
    "RateLimit": header("How much of it is left: `r` requests for the next `t` seconds.", '"user";r=5998;t=42'),
    "WWW-Authenticate": header("How to sign in.", "Bearer"),
}

DESCRIPTION = """Hand in slow work, get a job back at once, and follow it until it has finished.

Large files come to `/api/uploads` by the [tus protocol](https://tus.io/protocols/resumable-upload), and go on where a
line dropped. Where media lie in an object store, they go straight there in parts: see `/api/uploads/multipart`."""

api = API(
    title="Nightshift",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    auth=[Bearer(), Session(csrf=True)],
    renderer=Renderer(),
    docs=Swagger(),
)
api.add_router("/jobs", jobs)
api.add_router("/videos", videos)
api.add_router("/uploads/multipart", multipart_uploads)
api.add_router("/products", products)
api.add_router("/orders", orders)
api.add_router("/webhooks", webhooks)
api.add_router("/reports", reports)


def answer(status: int, detail: str = "", **more: Any) -> HttpResponse:
    return HttpResponse(problem(status, detail, **more), status=status, content_type=CONTENT_TYPE)


@api.exception_handler(HttpError)
def refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    response = answer(error.status_code, error.message)
    for name, value in headers(error).items():
        response[name] = value
    return response


@api.exception_handler(StoreAway)
def store_away(request: HttpRequest, away: StoreAway) -> HttpResponse:
    return refused(request, later(away))


@api.exception_handler(Refused)
def upload_refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
    return answer(refusal.status, str(refusal))


@api.exception_handler(AuthenticationError)
def unknown_caller(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    try:
        request.standing = limits.count_stranger(request.META.get("REMOTE_ADDR", ""))  # type: ignore[attr-defined]
    except limits.TooMany as too_many:
        return refused(request, too_many)
    return refused(request, HttpError(401, ""))


@api.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return answer(404)


@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
def malformed(request: HttpRequest, error: Exception) -> HttpResponse:
    return answer(413 if isinstance(error, RequestDataTooBig) else 400)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [{"field": ".".join(map(str, one["loc"][1:])), "message": one["msg"]} for one in error.errors]
    detail = "; ".join(f"{one['field'].rpartition('.')[2] or 'request'}: {one['message']}" for one in errors)
    return answer(422, detail, errors=errors)


@api.exception_handler(Exception)
def failed(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.exception("%s %s failed", request.method, request.path)
    return answer(500)
