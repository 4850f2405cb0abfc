"""Guessing passwords is slowed down by django-axes: so many wrong ones for an account from one IP address, and
that address waits. It counts in the database, so it holds whatever becomes of the broker.
"""

from math import ceil

from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone


def account(request: HttpRequest, credentials: dict[str, str] | None) -> str:
    """Which account is tried: `Ann@example.com` and `ann@example.com` are one."""
    return ((credentials or request.POST).get("username") or "").lower()


def refuse(request: HttpRequest, response: HttpResponse, credentials: dict[str, str] | None) -> HttpResponse:
    """Say that it was too often, and when to come back."""
    tried = AccessAttempt.objects.filter(
        username=account(request, credentials), ip_address=request.META.get("REMOTE_ADDR")
    )
    last = tried.aggregate(last=Max("attempt_time"))["last"] or timezone.now()
    wait = max(1, ceil((last + settings.AXES_COOLOFF_TIME - timezone.now()).total_seconds()))
    refusal = render(request, "accounts/too_many.html", {"minutes": ceil(wait / 60)}, status=429)
    refusal["Retry-After"] = wait
    return refusal
