"""The API as a whole: who may call it, what is in it, how it says no."""

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
from config.problems import CONTENT_TYPE, problem
from jobs.api import router as jobs
from notifications.api import router as webhooks
from orders.api import orders, products
from videos.api import router as videos

logger = logging.getLogger(__name__)


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User:
        if user := tokens.user_of(token):
            return user
        raise AuthenticationError  # whoever sends a token means it: there is no other way in


class Session(SessionAuth):
    """Asks for the CSRF token only where there is a user, so that strangers are told to sign in."""

    def __call__(self, request: HttpRequest) -> User | None:
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise HttpError(403, "Send the CSRF token, in the header X-CSRFToken.")
        return request.user


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
        for operations in schema["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status >= 400:
                        response["content"] = {CONTENT_TYPE: response["content"].pop("application/json")}
                    if status == 202:
                        response["headers"] = ACCEPTED
        return schema


ACCEPTED = {
    "Location": {"description": "The address of the job.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "Seconds after which to ask for it.", "schema": {"type": "integer"}},
}

api = API(
    title="Nightshift",
    version="1",
    description="Hand in slow work, get a job back at once, and follow it until it has finished.",
    urls_namespace="api",
    auth=[Bearer(), Session(csrf=True)],
    renderer=Renderer(),
    docs=Swagger(),
)
api.add_router("/jobs", jobs)
api.add_router("/videos", videos)
api.add_router("/products", products)
api.add_router("/orders", orders)
api.add_router("/webhooks", webhooks)


def answer(status: int, detail: str = "", **more: Any) -> HttpResponse:
    return HttpResponse(problem(status, detail, **more), status=status, content_type=CONTENT_TYPE)


@api.exception_handler(HttpError)
def refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    return answer(error.status_code, error.message)


@api.exception_handler(AuthenticationError)
def unknown_caller(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    response = answer(401)
    response["WWW-Authenticate"] = "Bearer"
    return response


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
