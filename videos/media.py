"""Media files: addresses that only their owner can use, for a while, and the ASGI app that answers them.

Beside Django rather than in it, because Django under ASGI cannot stream a file without a thread for each viewer.
"""

from pathlib import Path
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from starlette.responses import FileResponse, PlainTextResponse

from videos.models import Video

LIFETIME = 12 * 3600  # seconds: longer than anybody watches
SALT = "media"


def address(file: FieldFile, video: Video) -> str:
    """Where the owner of `video` finds this file of it. Good for `LIFETIME`."""
    name = str(file.name)
    ticket = signing.dumps([video.owner_id, name], salt=SALT)
    return f"{settings.MEDIA_URL}{ticket}/{Path(name).name}"


async def media(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers `/media/<ticket>/<name>`, with byte ranges.

    The ticket is enough, so a player that sends no cookies can play; in the hands of another user it is none.
    """
    path = await _file_for(scope)
    response = FileResponse(path, headers=HEADERS) if path else PlainTextResponse("Not found", status_code=404)
    await response(scope, receive, send)


HEADERS = {"Cache-Control": f"private, max-age={LIFETIME}", "X-Content-Type-Options": "nosniff"}


async def _file_for(scope: dict[str, Any]) -> Path | None:
    ticket = scope["path"].removeprefix(settings.MEDIA_URL).partition("/")[0]
    try:
        owner_id, name = signing.loads(ticket, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return None
    # The session's user is loaded when it is first looked at, which asks the database.
    viewer_id = await database_sync_to_async(lambda: scope["user"].pk)()
    path = Path(default_storage.path(name))
    return path if viewer_id in (None, owner_id) and path.is_file() else None
