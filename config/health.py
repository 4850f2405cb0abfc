from django.db import connection
from django.http import HttpRequest, JsonResponse


def health(request: HttpRequest) -> JsonResponse:
    """Whether this web server can do its work, for load balancers. That needs the database and nothing else."""
    connection.ensure_connection()
    return JsonResponse({"status": "ok"})
