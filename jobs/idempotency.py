"""Requests that may be sent again: the `Idempotency-Key` header.

After the IETF draft draft-ietf-httpapi-idempotency-key-header-07, with Stripe's habits where it leaves a choice: a key
belongs to its owner and is kept for a day or more, and a request that was refused has not used its key up.

The claim of a key is a lease like that of a job: a request that dies lets it run out. What the request made and the
answer it gave are written in one transaction, so a key has an answer exactly when there is an effect.
"""

import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from ninja.errors import HttpError

from jobs.api import ApiRequest
from jobs.models import IdempotencyKey, from_now

LONGEST_REQUEST = timedelta(minutes=1)
LONGEST_KEY = 255
CHUNK = 1024 * 1024
KEPT_HEADERS = ("Content-Type", "Location", "Retry-After")
BUSY = "A request with this Idempotency-Key is being answered. Send it again in a moment."

# What to tell the API's document about an idempotent operation.
DOCUMENTED = {
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "description": "Names this request, so that it can be sent again: it is not done twice.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        }
    ]
}

View = Callable[..., HttpResponse]


def idempotent(view: View) -> View:
    """Make an API operation that creates something safe to repeat. It must answer with an HttpResponse.

    Raises HttpError: 400 for a key that is none, 409 while the first request is being answered, 422 when the key came
    with another request before.
    """

    @wraps(view)
    def answering(request: ApiRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name = request.headers.get("Idempotency-Key")
        if name is None:
            return view(request, *args, **kwargs)
        key = _claim(request, name)
        if key.status is not None:
            return _replay(key)
        return _answer(key, lambda: view(request, *args, **kwargs))

    return answering


def _claim(request: ApiRequest, name: str) -> IdempotencyKey:
    """The key, either with its answer or claimed for this request."""
    if not 0 < len(name) <= LONGEST_KEY:
        raise HttpError(400, f"An Idempotency-Key has 1 to {LONGEST_KEY} characters.")
    ours = IdempotencyKey(
        owner=request.auth,
        key=name,
        digest=_digest(request),
        claimed_until=from_now(LONGEST_REQUEST),
    )
    IdempotencyKey.objects.bulk_create([ours], ignore_conflicts=True)
    key = IdempotencyKey.objects.filter(owner=ours.owner, key=name).first()
    if key is None:  # another request was refused just now, and gave the key back
        raise HttpError(409, BUSY)
    if key.digest != ours.digest:
        raise HttpError(422, "This Idempotency-Key was used for another request. Use a new key for each request.")
    if key.status is None and key.claim != ours.claim and not _take_over(key, ours.claim):
        raise HttpError(409, BUSY)
    return key


def _take_over(key: IdempotencyKey, claim: uuid.UUID) -> bool:
    """Claim a key whose request died without an answer."""
    abandoned = IdempotencyKey.objects.filter(pk=key.pk, status=None, claim=key.claim, claimed_until__lt=Now())
    key.claim = claim
    return bool(abandoned.update(claim=claim, claimed_until=from_now(LONGEST_REQUEST)))


def _answer(key: IdempotencyKey, view: Callable[[], HttpResponse]) -> HttpResponse:
    ours = IdempotencyKey.objects.filter(pk=key.pk, claim=key.claim)
    try:
        with transaction.atomic():
            # Before anything is made: from here on the row is locked, and nobody can take our place.
            if not ours.update(claimed_until=from_now(LONGEST_REQUEST)):
                raise HttpError(409, "This request took too long, and another with its Idempotency-Key took its place.")
            response = view()
            kept = {name: response[name] for name in KEPT_HEADERS if name in response}
            ours.update(status=response.status_code, headers=kept, body=response.content.decode())
            return response
    except BaseException:
        ours.filter(status=None).delete()
        raise


def _replay(key: IdempotencyKey) -> HttpResponse:
    response = HttpResponse(key.body, status=key.status, headers=key.headers)
    response["Idempotent-Replayed"] = "true"
    return response


def _digest(request: ApiRequest) -> str:
    """Of everything that makes the request what it is. A form's boundary does not, so it is taken apart."""
    digest = hashlib.sha256(f"{request.method} {request.path}".encode())
    if request.content_type != "multipart/form-data":
        digest.update(request.body)
        return digest.hexdigest()
    for name, values in sorted(request.POST.lists()):
        digest.update(repr((name, values)).encode())
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            digest.update(repr((name, file.name, file.size)).encode())
            for chunk in file.chunks(CHUNK):
                digest.update(chunk)
            file.seek(0)
    return digest.hexdigest()
