"""How often one may ask for something.

The API: so many requests a minute for each user, and fewer for each address of strangers. The forms that have us write
to whatever address a stranger fills in: so many an hour for each address from which they come.

Counted in Valkey, so for all web processes together. When it is down nobody is refused and nobody waits: whoever found
it so has waited for `PATIENCE`, and others do not try for a while. The headers are those of the IETF draft
draft-ietf-httpapi-ratelimit-headers-10.
"""

import time
from collections.abc import Awaitable, Callable
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any, NamedTuple

from channels.db import database_sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.api import Later

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

MINUTE, HOUR = 60, 3600  # seconds
HAVE_US_WRITE = {"sign_up", "password_reset"}  # the names of the pages with such forms
PATIENCE = 0.05  # seconds that a request may wait for a Valkey that does not answer
REST = 2.0  # seconds in which nobody tries one that has just failed

_failed_at = float("-inf")


class Standing(NamedTuple):
    """How much of a quota is used."""

    policy: str
    quota: int
    window: int  # seconds
    used: int
    resets_in: int  # seconds

    def headers(self) -> dict[str, str]:
        remaining = max(0, self.quota - self.used)
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={self.window}',
            "RateLimit": f'"{self.policy}";r={remaining};t={self.resets_in}',
        }


class TooMany(Later):
    def __init__(self, standing: Standing) -> None:
        every = {MINUTE: "a minute", HOUR: "an hour"}[standing.window]
        words = f"You may ask {standing.quota} times {every}. Come back in {standing.resets_in} s."
        super().__init__(429, words, standing.resets_in)
        self.headers.update(standing.headers())


def count_user(user_id: int) -> Standing | None:
    """Count a request of a user, whichever token or browser it comes by. Raises TooMany. None: it was not counted."""
    return _count("user", str(user_id), settings.API_REQUESTS_PER_MINUTE, MINUTE)


def count_stranger(address: str) -> Standing | None:
    """Count a request of nobody we know. Raises TooMany. None: it was not counted."""
    return _count("stranger", _network(address), settings.API_STRANGER_REQUESTS_PER_MINUTE, MINUTE)


def count_writing(address: str) -> Standing | None:
    """Count a form that has us write to whatever address it names. Raises TooMany."""
    return _count("writing", _network(address), settings.STRANGER_MAILS_PER_HOUR, HOUR)


def _count(policy: str, who: str, quota: int, window: int) -> Standing | None:
    now = int(time.time())
    used = _used(f"nightshift:requests:{policy}:{who}:{now // window}", window)
    if used is None:
        return None
    standing = Standing(policy, quota, window, used, window - now % window)
    if used > quota:
        raise TooMany(standing)
    return standing


def _used(key: str, window: int) -> int | None:
    global _failed_at
    if time.monotonic() - _failed_at < REST:
        return None
    try:
        with _valkey().pipeline(transaction=False) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, 2 * window)
            return pipeline.execute()[0]
    except RedisError:
        _failed_at = time.monotonic()
        return None


@cache
def _valkey() -> Redis:
    patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    return Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), **patience)


def _network(address: str) -> str:
    """Whoever has an IPv6 address has a whole network of them."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has none
        return "unknown"
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)


class RateLimitMiddleware:
    """Says how much is left of the API's quotas, for whoever `config.api` has counted, and counts the forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if standing := getattr(request, "standing", None):
            for name, value in standing.headers().items():
                response[name] = value
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match = request.resolver_match
        if request.method != "POST" or match is None or match.url_name not in HAVE_US_WRITE:
            return None
        try:
            count_writing(request.META.get("REMOTE_ADDR", ""))
        except TooMany as refusal:
            minutes = ceil(int(refusal.headers["Retry-After"]) / 60)
            response = render(request, "429.html", {"minutes": minutes}, status=429)
            response["Retry-After"] = refusal.headers["Retry-After"]
            return response
        return None


class Limited:
    """Counts the requests to an ASGI app beside Django, whose scope has a user. Raises TooMany."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        standing = await self._count(scope)

        async def send_with_headers(message: dict[str, Any]) -> None:
            if standing and message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in standing.headers().items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, send_with_headers)

    @database_sync_to_async
    def _count(self, scope: dict[str, Any]) -> Standing | None:
        user_id = scope["user"].pk  # loaded when it is first looked at
        return count_stranger((scope.get("client") or [""])[0]) if user_id is None else count_user(user_id)
