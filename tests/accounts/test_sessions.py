"""Sessions that have expired do not pile up."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.tasks import forget_sessions
from jobs.worker import work


@pytest.mark.django_db
def test_expired_sessions_are_forgotten_and_others_kept() -> None:
    for key, days in (("old", -1), ("new", 1)):
        Session.objects.create(session_key=key, expire_date=timezone.now() + timedelta(days=days))
    job = forget_sessions.enqueue()
    work([str(job.pk)], job.queue)
    assert [session.pk for session in Session.objects.all()] == ["new"]
