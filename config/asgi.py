"""Everything that listens: Django, and beside it what must not go through it."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_asgi_application()  # first: it sets Django up, and what follows imports models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402
from starlette.responses import Response  # noqa: E402

from accounts.asgi import ByToken, SameOrigin  # noqa: E402
from config.limits import Limited  # noqa: E402
from config.problems import CONTENT_TYPE, Problems, problem  # noqa: E402
from files.serving import Media  # noqa: E402
from notifications import following  # noqa: E402
from notifications.routing import urlpatterns  # noqa: E402
from videos import sharing, tus  # noqa: E402
from videos.uploads import UploadLimit, too_large  # noqa: E402


def refusal(status: int, detail: str = "", headers: dict[str, str] | None = None) -> Response:
    return Response(problem(status, detail), status_code=status, headers=headers, media_type=CONTENT_TYPE)


async def refuse_large(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await refusal(413, too_large())(scope, receive, send)


async def refuse_foreign(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await refusal(403)(scope, receive, send)


site = UploadLimit(django, refuse=refuse_large)
media = Media(is_shared=sharing.is_shared)
media_by_user = ByToken(media, otherwise=AuthMiddlewareStack(media))
sockets = URLRouter(urlpatterns)

uploads = Limited(tus.Tus(refuse=refusal))
by_session = SameOrigin(AuthMiddlewareStack(uploads), refuse=refuse_foreign)
uploads_by_user = Problems(ByToken(uploads, otherwise=by_session))

follow = Limited(Problems(following.follow))
follow_by_user = Problems(ByToken(follow, otherwise=AuthMiddlewareStack(follow)))


async def http(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path.startswith(settings.MEDIA_URL):
        await media_by_user(scope, receive, send)
    elif tus.takes(path):
        await uploads_by_user(scope, receive, send)
    elif following.asked_for(scope):
        await follow_by_user(scope, receive, send)
    else:
        await site(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": ByToken(sockets, otherwise=AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))),
    }
)
