"""What may be expected of a job: its place in line, and times learned from others, never promised."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Job, Priority, State
from jobs.outlook import FARTHEST, FEWEST, LEARNED_FROM, Outlook, Span, look_ahead, past
from jobs.queues import pause, resume
from tests.trial.tasks import long, nothing, record

pytestmark = pytest.mark.django_db


def took(seconds: Iterable[float], task=record, **launch: object) -> None:
    """So long each of these took that has succeeded, the last one named the latest."""
    now = timezone.now()
    jobs = []
    for number, one in enumerate(seconds):
        job = task.job(number=number, **launch)
        job.state, job.finished_at = State.SUCCEEDED, now - timedelta(hours=1) + timedelta(seconds=number)
        job.started_at = job.finished_at - timedelta(seconds=one)
        jobs.append(job)
    Job.objects.bulk_create(jobs)


def running_for(seconds: float, task=record, worker: str = "a worker", **changes: object) -> Job:
    job = task.enqueue(number=1, **{name: changes.pop(name) for name in ("owner", "size") if name in changes})
    [job] = Job.objects.filter(pk=job.pk).start(worker)
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now() - timedelta(seconds=seconds), **changes)
    job.refresh_from_db()
    return job


def outlook_of(job: Job) -> Outlook:
    job.refresh_from_db()
    look_ahead([job])
    assert job.outlook
    return job.outlook


def about(span: Span | None) -> tuple[int, int]:
    assert span
    return round(span.low), round(span.high)


# --- the place in line ---


def test_who_came_first_goes_first_and_the_urgent_before_all():
    first, second = record.enqueue(number=1), record.enqueue(number=2)
    urgent = record.enqueue(number=3, priority=Priority.URGENT)
    long.enqueue(number=4)  # in another queue
    assert [outlook_of(job).queue_position for job in (urgent, first, second)] == [1, 2, 3]
    assert [outlook_of(job).words for job in (urgent, second)] == ["Next in line", "3rd in line"]


def test_who_waits_for_a_time_is_in_no_line():
    later = record.enqueue(number=1, run_at=timezone.now() + timedelta(minutes=1))
    assert outlook_of(later) == Outlook("time")
    assert outlook_of(record.enqueue(number=2)).queue_position == 1


def test_of_a_long_line_only_the_first_thousand_are_counted():
    jobs = [record.job(number=number, run_at=timezone.now() - timedelta(hours=1)) for number in range(FARTHEST)]
    record.enqueue_many(jobs)
    last = record.enqueue(number=0)
    outlook = outlook_of(last)
    assert (outlook.queue_position, outlook.more, outlook.starts_in) == (None, True, None)
    assert outlook.words == "More than 1,000 wait in this queue"
    jobs[0].delete()
    assert outlook_of(last).words == "1000th in line"


def test_of_a_long_line_in_which_owners_take_turns_no_place_is_told():
    long.enqueue_many([long.job(number=number) for number in range(FARTHEST + 1)])
    outlook = outlook_of(Job.objects.in_line("media")[0])
    assert (outlook.queue_position, outlook.more) == (None, True)
    assert outlook.words == "More than 1,000 wait in this queue, but owners take turns"


def test_where_owners_take_turns_places_are_those_in_which_jobs_will_start(django_user_model):
    served, busy, new = (django_user_model.objects.create_user(f"{name}@example.com") for name in "abc")
    [job] = Job.objects.filter(pk=long.enqueue(number=0, owner=served).pk).start("a worker")
    job.succeed()
    running_for(1, task=long, owner=busy)
    jobs = [long.enqueue(number=1, owner=owner) for owner in (busy, busy, served, served, None, new, new, new)]
    jobs.append(long.enqueue(number=2, owner=new, priority=Priority.URGENT))
    expected = sorted(jobs, key=lambda job: outlook_of(job).queue_position or 0)
    assert outlook_of(jobs[0]).words.startswith("About ")

    started = []
    while candidate := Job.objects.fairest("media"):
        started += Job.objects.filter(pk=candidate.pk).start("a worker")
    assert [job.pk for job in started] == [job.pk for job in expected]


def test_of_a_paused_queue_it_is_said_that_it_is_and_nothing_else():
    took([10] * FEWEST)
    running_for(1)
    job = record.enqueue(number=1)
    pause("quick")
    assert outlook_of(job) == Outlook("queue_paused")
    assert outlook_of(job).words == "The queue is paused. This goes on by itself when it is opened again."
    resume("quick")
    assert outlook_of(job).waiting_for == "worker"


def test_what_has_finished_has_no_outlook():
    job = record.enqueue(number=1)
    [job] = Job.objects.filter(pk=job.pk).cancel()
    look_ahead([job])
    assert job.outlook is None


# --- when it starts ---


def test_a_job_starts_when_those_before_it_have_been_taken_by_the_workers_that_are_there():
    took([60, 60, 60, 60, 120, 120, 120, 120])
    running_for(0, worker="one")
    running_for(0, worker="two")
    jobs = [record.enqueue(number=number) for number in range(4)]
    spans = [about(outlook_of(job).starts_in) for job in jobs]
    assert spans == [(60, 120), (60, 120), (120, 240), (120, 240)]
    assert outlook_of(jobs[2]).words == "3rd in line · starts in about 2–4 min"  # noqa: RUF001


def test_nobody_says_when_a_job_starts_that_no_worker_is_there_for():
    took([60] * FEWEST)
    assert outlook_of(record.enqueue(number=1)) == Outlook("worker", queue_position=1)


def test_nobody_says_when_a_job_starts_behind_one_of_which_nothing_is_known():
    took([60] * FEWEST)
    running_for(1)
    nothing.enqueue(number=1)
    assert outlook_of(record.enqueue(number=1)) == Outlook("worker", queue_position=2)


# --- how long it may still take ---


def test_of_too_few_nothing_is_learned():
    took([60] * (FEWEST - 1))
    job = running_for(1)
    assert outlook_of(job) == Outlook()
    assert outlook_of(job).words == ""
    took([60])
    assert about(outlook_of(job).remaining) == (59, 59)


def test_the_rest_is_learned_from_those_that_took_longer_than_it_did_so_far():
    took([10, 20, 32, 40, 100, 112, 124, 136])
    assert about(outlook_of(running_for(0)).remaining) == (29, 115)
    assert about(outlook_of(running_for(90)).remaining) == (19, 37)
    assert outlook_of(running_for(90)).words == "About 20–35 s left"  # noqa: RUF001


def test_of_what_takes_longer_than_most_did_no_end_is_told():
    took([10] * 7 + [1000])
    outlook = outlook_of(running_for(60))
    assert (outlook.remaining, outlook.longer_than_usual) == (None, True)
    assert outlook.words == "Taking longer than usual"
    outlook = outlook_of(running_for(60, progress=0.5))
    assert about(outlook.remaining) == (40, 90)
    assert outlook.words == "Taking longer than usual · about 1–2 min left"  # noqa: RUF001


def test_progress_tells_the_rest_better_than_others_do():
    took([1000] * FEWEST)
    assert about(outlook_of(running_for(60, progress=0.75)).remaining) == (13, 30)
    assert about(outlook_of(running_for(60, progress=0.01)).remaining) == (940, 940)


def test_jobs_of_about_the_same_size_take_about_as_long():
    took([10] * FEWEST, size=1000)
    took([100] * FEWEST, size=9000)
    assert about(outlook_of(running_for(1, size=900)).remaining) == (9, 9)
    assert about(outlook_of(running_for(1, size=8200)).remaining) == (99, 99)
    assert outlook_of(running_for(1, size=300_000)).remaining is None
    assert outlook_of(running_for(1)).remaining is None


def test_the_latest_are_learned_from():
    took([10] * LEARNED_FROM + [60] * LEARNED_FROM)
    assert about(outlook_of(running_for(1)).remaining) == (59, 59)


def test_what_waited_for_its_parts_teaches_nothing():
    took([60] * FEWEST)
    parent = Job.objects.filter(state=State.SUCCEEDED).first()
    Job.objects.filter(pk=record.enqueue(number=1).pk).update(parent=parent)
    assert outlook_of(running_for(1)).remaining is None


def test_a_job_in_parts_is_as_far_as_they_are():
    took([1] * FEWEST)
    job = running_for(60)
    Job.objects.filter(pk=job.pk).suspend("In 2 parts")
    Job.objects.filter(pk=job.pk).update(progress=0.5)
    outlook = outlook_of(job)
    assert (about(outlook.remaining), outlook.longer_than_usual) == ((40, 90), False)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span(0, 1), "a few seconds"),
        (Span(0, 30), "up to about 30 s"),
        (Span(7, 13), "about 5–15 s"),  # noqa: RUF001
        (Span(61, 61), "about 1 min"),
        (Span(10, 90), "up to about 2 min"),
        (Span(119, 241), "about 2–4 min"),  # noqa: RUF001
        (Span(4800, 10_000), "about 1–3 h"),  # noqa: RUF001
    ],
)
def test_times_are_told_as_exactly_as_they_can_be(span, words):
    assert str(span) == words


# --- what it costs ---


def test_to_look_at_many_costs_little_more_than_at_one(django_assert_max_num_queries, django_user_model):
    owner = django_user_model.objects.create_user("owner@example.com")
    took([60] * FEWEST)
    running_for(1)
    jobs = [record.enqueue(number=number, owner=owner) for number in range(24)]
    with django_assert_max_num_queries(5):
        look_ahead(jobs)
    assert all(job.outlook and job.outlook.starts_in for job in jobs)


def test_lines_and_the_past_are_read_by_their_indexes():
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL tells its plans")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobs_job (id, task, args, queue, priority, state, max_attempts, published_at, started_at,"
            " finished_at) SELECT gen_random_uuid(), 'tests.trial.record', '{}', 'quick', 3,"
            " CASE WHEN n % 2 = 0 THEN 'queued' ELSE 'succeeded' END, 1, now(), now(), now()"
            " FROM generate_series(1, 20000) AS n"
        )
        cursor.execute("ANALYZE jobs_job")
    line = Job.objects.in_line("quick").values_list("pk")[:FARTHEST]
    assert "job_in_line" in line.explain()
    assert "Sort" not in line.explain()
    assert past("tests.trial.record")
    succeeded = Job.objects.filter(task="tests.trial.record", state=State.SUCCEEDED).order_by("-finished_at")[:500]
    assert "job_took" in succeeded.explain()
    assert "Sort" not in succeeded.explain()
