from django.db import connection
from django.http import HttpRequest, JsonResponse

from videos import ffmpeg


def health(request: HttpRequest) -> JsonResponse:
    """Whether this web server can do its work, for load balancers. That needs the database and nothing else.

    Staff also learn what would only tell a stranger where to strike.
    """
    connection.ensure_connection()
    report = {"status": "ok"}
    if getattr(request.user, "is_staff", False):
        report["ffmpeg"] = "confined" if ffmpeg.is_confined() else "not confined"
    return JsonResponse(report)
