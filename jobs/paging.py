"""Lists a page at a time, newest first. A page begins after the last row of the one before, so the hundredth costs as
the first, and what is added meanwhile moves nothing.
"""

from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.errors import HttpError

LONGEST_PAGE = 100
PAGE = 50

Row = TypeVar("Row", bound=Model)


class BadPlace(ValueError):
    """This is not a place in a list."""


def page(rows: "QuerySet[Row]", after: str, size: int) -> tuple[list[Row], str]:
    """Some of these rows, which have a `created_at`, and the place after them: empty where no more follow.

    Raises BadPlace.
    """
    if after:
        rows = _after(after, rows)
    found = list(rows.order_by("-created_at", "-pk")[: size + 1])
    more = f"{found[size - 1].created_at.isoformat()}_{found[size - 1].pk}" if len(found) > size else ""  # type: ignore[attr-defined]
    return found[:size], more


def _after(place: str, rows: "QuerySet[Row]") -> "QuerySet[Row]":
    moment, _, pk = place.partition("_")
    try:
        created_at, last = datetime.fromisoformat(moment.replace(" ", "+")), UUID(pk)
        if created_at.tzinfo is None:
            raise ValueError(moment)
    except ValueError:
        raise BadPlace(f"“{place}” is not a place in the list.") from None
    # The first condition is what the index understands, the second settles the rows of the same microsecond.
    return rows.filter(Q(created_at__lt=created_at) | Q(pk__lt=last), created_at__lte=created_at)


# --- over HTTP ---

# Parameters of the operations that list.
LIMIT: Any = Query(PAGE, ge=1, le=LONGEST_PAGE, description="How many at most.")
AFTER: Any = Query(
    "",
    max_length=100,
    description="Where the page before ended. Its header `Link` has the whole address of the next.",
)

NEXT = {
    "Link": {
        "description": "The address of the next page, where there is one (RFC 8288).",
        "schema": {"type": "string"},
        "example": '</api/jobs?after=2026-11-24T12%3A00%3A00%2B00%3A00_5f0c6d4e-…>; rel="next"',
    }
}
# What to tell the API's document about an operation that lists.
DOCUMENTED = {"responses": {200: {"headers": NEXT}}}


def listed(request: HttpRequest, response: HttpResponse, rows: "QuerySet[Row]", after: str, limit: int) -> list[Row]:
    """A page as the answer to a request, with the next one's address in the header `Link`. Raises HttpError."""
    try:
        found, more = page(rows, after, limit)
    except BadPlace as error:
        raise HttpError(422, f"after: {error}") from error
    if more:
        asked = {**request.GET.dict(), "after": more}
        response["Link"] = f'<{request.path}?{urlencode(asked)}>; rel="next"'
    return found
