"""The API as a whole: who may call it, what is in it, how it says no."""

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger
from ninja.security import HttpBearer, SessionAuth

from accounts import tokens
from accounts.models import User
from config.problems import CONTENT_TYPE, problem
from jobs.api import router as jobs
from videos.api import router as videos

logger = logging.getLogger(__name__)


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        return tokens.user_of(token)


api = NinjaAPI(
    title="Nightshift",
    version="1",
    description="Hand in slow work, get a job back at once, and follow it until it has finished.",
    urls_namespace="api",
    auth=[Bearer(), SessionAuth(csrf=True)],
    docs=Swagger(),
)
api.add_router("/jobs", jobs)
api.add_router("/videos", videos)


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


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [{"field": ".".join(map(str, one["loc"][1:])), "message": one["msg"]} for one in error.errors]
    detail = "; ".join(f"{one['field'].rpartition('.')[2] or 'request'}: {one['message']}" for one in errors)
    return answer(422, detail, errors=errors)


@api.exception_handler(Exception)
def failed(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.exception("%s %s failed", request.method, request.path)
    return answer(500)
