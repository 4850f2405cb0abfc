"""Moving all jobs that match."""

import html
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.errors import LeaseLost
from jobs.models import Job, State
from jobs.operating import acts
from jobs.operating.acts import act
from jobs.operating.filters import Filters
from jobs.tasks import bulk_move
from jobs.worker import work
from tests.trial.tasks import fail, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return get_user_model().objects.create_superuser("admin@example.com")


@pytest.fixture
def operator(admin) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def make(number: int, state: State, **columns: object) -> None:
    """Rows as many jobs would have left them."""
    finished_at = timezone.now() if state in (State.DEAD, State.SUCCEEDED, State.CANCELLED) else None
    jobs = [fail.job(message=f"card {n}") for n in range(number)]
    for job in jobs:
        job.state, job.finished_at = state, finished_at
        for name, value in columns.items():
            setattr(job, name, value)
    Job.objects.bulk_create(jobs)


def address(verb: str) -> str:
    return reverse("admin:jobs_job_move_many", args=[verb])


def run(bulk: Job) -> Job:
    work([str(bulk.pk)], bulk.queue)
    return Job.objects.get(pk=bulk.pk)


def test_the_dry_run_says_what_then_moves(operator):
    make(2_500, State.DEAD, fingerprint="aaaa")
    make(40, State.DEAD, fingerprint="bbbb")
    make(30, State.SUCCEEDED)
    filters = {"task": "tests.trial.fail", "state": "dead,succeeded", "search": "card"}
    text = operator.get(address("requeue"), filters).content.decode()
    assert "Requeue 2,540" in text
    assert re.search(r">30</td><td[^>]*>stay as they are", text)
    assert not Job.objects.filter(task=bulk_move.name).exists()

    response = operator.post(address("requeue"), filters)
    bulk = Job.objects.get(task=bulk_move.name)
    assert response["Location"] == reverse("admin:jobs_job_change", args=[bulk.pk])
    assert run(bulk).result == {"moved": 2_540}
    assert Job.objects.filter(state=State.QUEUED, task=fail.name, published_at=None).count() == 2_540
    assert Job.objects.filter(state=State.SUCCEEDED, task=fail.name).count() == 30


def test_every_move_is_audited_and_the_asking_too(operator):
    make(3, State.DEAD)
    operator.post(address("requeue"), {"state": "dead"})
    bulk = Job.objects.get(task=bulk_move.name)
    run(bulk)
    asked, *moves = [(entry.object_id, act(entry)) for entry in LogEntry.objects.order_by("pk")]
    assert asked[0] == str(bulk.pk)
    assert asked[1].verb == "requeue all"
    assert asked[1].details == {"filters": {"state": "dead"}, "expected": 3}
    assert {pk for pk, _ in moves} == {
        str(pk) for pk in Job.objects.filter(task=fail.name).values_list("pk", flat=True)
    }
    assert {(one.verb, one.by, one.details["bulk"]) for _, one in moves} == {
        ("requeue", "admin@example.com", str(bulk.pk))
    }
    page = operator.get(reverse("admin:jobs_job_change", args=[moves[0][0]])).content.decode()
    assert "Requeued in bulk" in page and str(bulk.pk) in page


def test_the_selected_jobs_alone_are_moved(operator):
    chosen, left = (record.enqueue(number=number) for number in (1, 2))
    operator.post(address("cancel"), {"queue": "quick", "id": [str(chosen.pk)]})
    run(Job.objects.get(task=bulk_move.name))
    assert Job.objects.get(pk=chosen.pk).state == State.CANCELLED
    assert Job.objects.get(pk=left.pk).state == State.QUEUED


def test_a_bulk_move_of_everything_leaves_itself_alone(operator):
    make(2, State.QUEUED)
    operator.post(address("cancel"))
    bulk = run(Job.objects.get(task=bulk_move.name))
    assert (bulk.state, bulk.result) == (State.SUCCEEDED, {"moved": 2})


def test_spans_are_fixed_when_it_is_asked_for(operator):
    make(1, State.DEAD)
    text = operator.get(address("requeue"), {"since": "2h"}).content.decode()
    since = html.unescape(re.search(r'name="since" value="([^"]+)"', text)[1])
    operator.post(address("requeue"), {"since": since})
    assert Job.objects.get(task=bulk_move.name).args["filters"] == {"since": since}


def test_an_unknown_filter_or_verb_moves_nothing(operator):
    make(1, State.QUEUED)
    response = operator.post(address("cancel"), {"stat": "dead"}, follow=True)
    assert "There is no filter “stat”" in response.content.decode()
    assert operator.post(address("delete")).status_code == 404
    assert operator.post(address("succeed")).status_code == 404
    assert not Job.objects.filter(task=bulk_move.name).exists()


def test_torn_off_and_begun_again_it_moves_the_rest_and_counts_all(admin, monkeypatch):
    monkeypatch.setattr(acts, "BATCH", 10)
    make(25, State.DEAD)
    bulk = bulk_move.enqueue(verb="requeue", filters={"state": "dead"}, owner=admin)
    [first] = Job.objects.filter(pk=bulk.pk).start("a worker")

    def torn_off(fraction: float, note: str) -> None:
        raise LeaseLost

    first.advance = torn_off
    with pytest.raises(LeaseLost):
        bulk_move.body(first, **first.args)
    assert Job.objects.filter(task=fail.name, state=State.QUEUED).count() == 10
    Job.objects.filter(pk=bulk.pk).release()
    assert run(bulk).result == {"moved": 25}


def test_what_dies_again_is_not_requeued_for_ever(admin):
    make(3, State.DEAD)
    bulk = bulk_move.enqueue(verb="requeue", filters={"state": "dead"}, owner=admin)
    [first] = Job.objects.filter(pk=bulk.pk).start("a worker")
    bulk_move.body(first, **first.args)
    Job.objects.filter(task=fail.name).bury()
    Job.objects.filter(pk=bulk.pk).release()
    run(bulk)
    assert Job.objects.filter(task=fail.name, state=State.DEAD).count() == 3


def test_filters_survive_being_written_and_read(admin):
    job = record.enqueue(number=1)
    given = {
        "id": str(job.pk),
        "state": "dead,cancelled",
        "task": "tests.trial.record",
        "queue": "quick",
        "owner": "admin@example.com",
        "fingerprint": "aaaa",
        "since": "2026-11-24T00:00:00+00:00",
        "until": "2026-11-25T00:00:00+00:00",
        "search": "Zürich",
    }
    assert Filters.read(given).written() == given
