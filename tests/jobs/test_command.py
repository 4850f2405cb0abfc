"""`manage.py jobs`: the operators' place on a terminal."""

import io
import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from jobs.models import Job, PausedQueue, State
from jobs.operating.acts import act
from jobs.worker import work
from tests.trial.tasks import fail, record

pytestmark = pytest.mark.django_db

BY = ("--by", "admin@example.com")


@pytest.fixture(autouse=True)
def people() -> None:
    get_user_model().objects.create_superuser("admin@example.com")
    get_user_model().objects.create_user("ada@example.com")


def jobs(*words: object) -> str:
    out = io.StringIO()
    call_command("jobs", *map(str, words), stdout=out)
    return out.getvalue()


def dead(message: str = "no") -> Job:
    job = fail.enqueue(message=message, permanent=True)
    work([str(job.pk)], job.queue)
    return Job.objects.get(pk=job.pk)


def test_list_shows_what_matches():
    ada = get_user_model().objects.get(email="ada@example.com")
    buried, waiting = dead("disk 7 is full"), record.enqueue(number=1, owner=ada)
    head, line = jobs("list", "--state", "dead").splitlines()
    assert head.split() == ["ID", "STATE", "TASK", "QUEUE", "OWNER", "ATTEMPT", "AGE", "TOOK", "ERROR"]
    assert line.startswith(f"{buried.pk}  dead   tests.trial.fail")
    assert line.endswith("Refused: disk 7 is full")
    [found] = json.loads(jobs("list", "--owner", "ada@example.com", "--since", "2h", "--json"))
    assert (found["id"], found["state"], found["owner"]) == (str(waiting.pk), "queued", "ada@example.com")
    assert len(jobs("list", "--limit", 1).splitlines()) == 2


def test_show_tells_the_history():
    job = dead("disk 7 is full")
    jobs("requeue", job.pk, *BY)
    text = jobs("show", job.pk)
    for part in ("Attempt 1 failed", "Refused: disk 7 is full", "in fail", "Requeued by admin@example.com"):
        assert part in text
    assert json.loads(jobs("show", job.pk, "--json"))["errors"][0]["message"] == "disk 7 is full"


def test_moves_by_ids_are_audited():
    first, second, left = (record.enqueue(number=number) for number in range(3))
    assert jobs("cancel", first.pk, second.pk, *BY) == "Cancelled 2.\n"
    assert Job.objects.get(pk=left.pk).state == State.QUEUED
    entries = [(entry.object_id, entry.user.email, act(entry).verb) for entry in LogEntry.objects.all()]
    assert sorted(entries) == sorted((str(job.pk), "admin@example.com", "cancel") for job in (first, second))


def test_moves_by_filters_say_first_what_they_would_do():
    for _ in range(3):
        dead()
    record.enqueue(number=1)
    assert jobs("requeue", "--queue", "quick", "--dry-run").splitlines() == [
        "Would requeue 3.",
        "3 are dead.",
        "1 are queued and would stay so.",
    ]
    assert Job.objects.filter(state=State.DEAD).count() == 3
    assert jobs("requeue", "--queue", "quick", *BY).splitlines()[0] == "Requeued 3."
    assert json.loads(jobs("bury", "--queue", "quick", "--json", *BY)) == {"moved": 4}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("requeue", "--state", "dead"), "--by EMAIL"),
        (("requeue", *BY), "give ids or filters"),
        (("requeue", "--state", "dead", "--by", "ada@example.com"), "ada@example.com is not an operator"),
        (("requeue", "--state", "dead", "--by", "eve@example.com"), "No user has the address"),
        (("list", "--state", "failed"), "There is no state “failed”"),
        (("list", "--since", "monday"), "“monday” is not a time"),
        (("show", "00000000-0000-0000-0000-000000000000"), "There is no job"),
        (("list", "--stat", "dead", "--colour", "red"), "unrecognized arguments"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message):
    job = dead()
    with pytest.raises(CommandError, match=message):
        jobs(*words)
    assert Job.objects.get(pk=job.pk).state == State.DEAD


def test_stats_and_dead_count():
    dead("card 1 was declined")
    dead("card 2 was declined")
    record.enqueue(number=1)
    jobs("pause", "quick", *BY)
    [quick] = [line.split() for line in jobs("stats").splitlines() if line.startswith("quick")]
    assert quick == ["quick", "1", "0", "0", "0", "0", "2", "0", "paused"]
    [problem] = json.loads(jobs("dead", "--json"))
    assert problem["number"] == 2
    assert "card 2 was declined" in jobs("dead")


def test_queues_are_paused_and_resumed():
    jobs("pause", "quick", *BY)
    assert PausedQueue.objects.get().name == "quick"
    jobs("resume", "quick", *BY)
    assert not PausedQueue.objects.exists()
    assert [act(entry).verb for entry in LogEntry.objects.order_by("pk")] == ["pause", "resume"]
