"""Sessions that have expired do not pile up, and one that was ended opens nothing any more."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.signals import access_withdrawn
from accounts.tasks import forget_sessions
from jobs.worker import work


@pytest.mark.django_db
def test_expired_sessions_are_forgotten_and_others_kept() -> None:
    for key, days in (("old", -1), ("new", 1)):
        Session.objects.create(session_key=key, expire_date=timezone.now() + timedelta(days=days))
    job = forget_sessions.enqueue()
    work([str(job.pk)], job.queue)
    assert [session.pk for session in Session.objects.all()] == ["new"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/logout", "/admin/logout/"])
def test_what_is_closed_on_logging_out_cannot_open_again(path: str) -> None:
    ann, client = User.objects.create_superuser("ann@example.com", "a password of the tests"), Client()
    client.force_login(ann)
    heard = []

    def closed(user: User, **_: object) -> None:
        heard.append((user.pk, client.get("/api/jobs").status_code))

    access_withdrawn.connect(closed)
    try:
        client.post(path)
    finally:
        access_withdrawn.disconnect(closed)
    assert heard == [(ann.pk, 401)]
