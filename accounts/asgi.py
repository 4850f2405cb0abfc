"""Who speaks, for the parts of the site that Django's middleware does not reach: sockets and media files."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async
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
