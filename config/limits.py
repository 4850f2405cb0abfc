"""How often one may call the API: so many requests a minute for each user, and fewer for each address of strangers.

Counted in Valkey, so for all web processes together. When it is down nobody is refused and nobody waits: whoever found
it so has waited for `PATIENCE`, and others do not try for a while. The headers are those of the IETF draft
draft-ietf-httpapi-ratelimit-headers-10.
"""

import time
from collections.abc import Awaitable, Callable
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

from channels.db import database_sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.api import Later

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

WINDOW = 60  # seconds
PATIENCE = 0.05  # seconds that a request may wait for a Valkey that does not answer
REST = 2.0  # seconds in which nobody tries one that has just failed

_failed_at = float("-inf")


class Standing(NamedTuple):
    """How much of a quota is used."""

    policy: str
    quota: int
    used: int
    resets_in: int  # seconds

    def headers(self) -> dict[str, str]:
        remaining = max(0, self.quota - self.used)
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={WINDOW}',
            "RateLimit": f'"{self.policy}";r={remaining};t={self.resets_in}',
        }


class TooMany(Later):
    def __init__(self, standing: Standing) -> None:
        words = f"You may ask {standing.quota} times a minute. Come back in {standing.resets_in} s."
        super().__init__(429, words, standing.resets_in)
        self.headers.update(standing.headers())


def count_user(user_id: int) -> Standing | None:
    """Count a request of a user, whichever token or browser it comes by. Raises TooMany. None: it was not counted."""
    return _count("user", str(user_id), settings.API_REQUESTS_PER_MINUTE)


def count_stranger(address: str) -> Standing | None:
    """Count a request of nobody we know. Raises TooMany. None: it was not counted."""
    return _count("stranger", _network(address), settings.API_STRANGER_REQUESTS_PER_MINUTE)


def _count(policy: str, who: str, quota: int) -> Standing | None:
    now = int(time.time())
    used = _used(f"nightshift:requests:{policy}:{who}:{now // WINDOW}")
    if used is None:
        return None
    standing = Standing(policy, quota, used, WINDOW - now % WINDOW)
    if used > quota:
        raise TooMany(standing)
    return standing


def _used(key: str) -> int | None:
    global _failed_at
    if time.monotonic() - _failed_at < REST:
        return None
    try:
        with _valkey().pipeline(transaction=False) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, 2 * WINDOW)
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
    """Says how much is left. Who is counted is found out in `config.api`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if standing := getattr(request, "standing", None):
            for name, value in standing.headers().items():
                response[name] = value
        return response


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
