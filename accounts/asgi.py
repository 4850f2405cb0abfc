"""Who speaks, for the parts of the site that Django's middleware does not reach: sockets, media files, uploads."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from accounts import tokens

ASGIApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class ByToken:
    """Puts the user of an `Authorization: Bearer` header into the scope; whoever sends none goes another way in.

    A browser cannot be made to send that header by a foreign page, so no Origin is asked for on this way.
    """

    def __init__(self, app: ASGIApp, otherwise: ASGIApp) -> None:
        self.app = app
        self.otherwise = otherwise

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        scheme, _, secret = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            await self.otherwise(scope, receive, send)
            return
        user = await database_sync_to_async(tokens.user_of)(secret.strip())
        await self.app({**scope, "user": user or AnonymousUser()}, receive, send)


class SameOrigin:
    """Lets sessions change something only from our own pages.

    By the header Origin, as Django itself does first: browsers send it along with whatever is not GET or HEAD, and
    no page can forge it. A program has no reason to use a session: it has a token.
    """

    def __init__(self, app: ASGIApp, refuse: ASGIApp) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        ours = [f"{scope['scheme']}://{headers.get(b'host')}", *settings.CSRF_TRUSTED_ORIGINS]
        safe = scope["method"] in ("GET", "HEAD", "OPTIONS")
        await (self.app if safe or headers.get(b"origin") in ours else self.refuse)(scope, receive, send)
