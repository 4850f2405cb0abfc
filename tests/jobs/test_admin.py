"""The operators' place, as its pages answer."""

import html
import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import patrol, queues
from jobs.models import Job, PausedQueue, State
from jobs.operating.acts import act
from jobs.operating.listing import PAGE
from jobs.worker import work
from tests.jobs.operators import said, staff
from tests.trial.tasks import fail, long, record

LIST = reverse("admin:jobs_job_changelist")
DEAD = reverse("admin:jobs_job_dead")

pytestmark = pytest.mark.django_db


def dead(**launch: object) -> Job:
    job = fail.enqueue(**launch, permanent=True)
    work([str(job.pk)], job.queue)
    return again(job)


def again(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def page(job: Job) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk])


def post(client: Client, job: Job, verb: str):
    return client.post(reverse("admin:jobs_job_move", args=[job.pk, verb]), follow=True)


def listed(client: Client, **filters: object) -> set[str]:
    """The ids of the jobs that the list shows."""
    text = client.get(LIST, filters).content.decode()
    return set(re.findall(r'id="job-([0-9a-f-]+)"', text))


def ids(*jobs: Job) -> set[str]:
    return {str(job.pk) for job in jobs}


# --- who may ---


def test_an_observer_sees_everything_and_cannot_act(observer):
    job = dead(message="a")
    waiting = record.enqueue(number=1)
    assert observer.get(reverse("admin:admin_logentry_changelist")).status_code == 200
    for url in (LIST, DEAD, page(job)):
        response = observer.get(url)
        assert response.status_code == 200
        main = response.content.decode().partition('id="content"')[2]
        assert 'method="post"' not in main and "Requeue" not in main
    for response in (
        *(post(observer, job, "requeue"), post(observer, waiting, "cancel"), post(observer, waiting, "bury")),
        observer.get(reverse("admin:jobs_job_edit", args=[job.pk])),
        observer.post(reverse("admin:jobs_job_edit", args=[job.pk]), {"args": "{}"}),
        observer.get(reverse("admin:jobs_job_move_many", args=["requeue"])),
        observer.post(reverse("admin:jobs_job_move_many", args=["requeue"])),
        observer.post(reverse("admin:jobs_job_pause", args=["quick"])),
        observer.post(reverse("admin:jobs_job_resume", args=["quick"])),
    ):
        assert response.status_code == 403
    assert (again(job).state, again(waiting).state) == (State.DEAD, State.QUEUED)
    assert not PausedQueue.objects.exists()
    assert not LogEntry.objects.exists()


def test_other_staff_see_nothing():
    client = staff("editor@example.com")
    job = dead()
    for url in (LIST, DEAD, page(job), reverse("admin:admin_logentry_changelist")):
        assert client.get(url).status_code == 403
    assert "Jobs" not in said(client.get(reverse("admin:index")))


def test_who_is_no_staff_is_asked_to_log_in(client):
    client.force_login(get_user_model().objects.create_user("someone@example.com"))
    assert client.get(LIST).status_code == 302


def test_nobody_adds_edits_or_deletes_a_job(admin_client):
    job = record.enqueue(number=1)
    assert admin_client.get(reverse("admin:jobs_job_add")).status_code == 403
    assert admin_client.post(reverse("admin:jobs_job_delete", args=[job.pk]), {"post": "yes"}).status_code == 403
    admin_client.post(page(job), {"state": "dead"})
    assert again(job).state == State.QUEUED


def test_acts_need_a_post_with_its_token(operator):
    job = dead()
    url = reverse("admin:jobs_job_move", args=[job.pk, "requeue"])
    assert operator.get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(url).status_code == 403
    assert again(job).state == State.DEAD


# --- the list ---


def test_each_filter_shows_its_jobs_and_no_others(operator):
    ada = get_user_model().objects.create_user("ada@example.com")
    buried = dead(message="no money")
    waiting = record.enqueue(number=41, owner=ada, key="entry:41")
    other = long.enqueue(number=7)
    Job.objects.filter(pk=other.pk).update(created_at=timezone.now() - timedelta(hours=3))
    assert listed(operator) == ids(buried, waiting, other)
    assert listed(operator, state="dead") == ids(buried)
    assert listed(operator, state="queued,dead", queue="quick") == ids(buried, waiting)
    assert listed(operator, task="tests.trial.long") == ids(other)
    assert listed(operator, queue="media") == ids(other)
    assert listed(operator, owner="ADA@example.com") == ids(waiting)
    assert listed(operator, fingerprint=buried.fingerprint) == ids(buried)
    assert listed(operator, since="1h") == ids(buried, waiting)
    assert listed(operator, until="1h") == ids(other)
    assert listed(operator, search="NO MON") == ids(buried)
    assert listed(operator, search="entry:4") == ids(waiting)
    assert listed(operator, search=str(other.pk)[:8]) == ids(other)
    assert listed(operator, state="dead", search="41") == set()


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"stat": "dead"}, "There is no filter “stat”"),
        ({"state": "failed"}, "There is no state “failed”. There are: queued, running"),
        ({"owner": "nobody@example.com"}, "No user has the address nobody@example.com"),
        ({"since": "yesterday"}, "“yesterday” is not a time"),
        ({"until": "2026-02-31"}, "“2026-02-31” is not a time"),
        ({"id": "7"}, "“7” is not the id of a job"),
        ({"before": "here"}, "“here” is not a place in the list"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_and_shows_no_jobs(operator, filters, message):
    record.enqueue(number=1)
    response = operator.get(LIST, filters)
    assert response.status_code == 400
    assert message in said(response)
    assert "job-" not in said(response)


def test_the_id_of_a_job_in_the_search_leads_to_the_job(operator):
    job = record.enqueue(number=1)
    assert operator.get(LIST, {"search": str(job.pk)})["Location"] == page(job)


def test_pages_follow_each_other_without_a_gap(operator):
    record.enqueue_many([record.job(number=number) for number in range(2 * PAGE + 10)])
    Job.objects.update(created_at=timezone.now())  # all at once, as a bulk insert by hand does
    url, seen = LIST, []
    while url:
        text = said(operator.get(url))
        seen += re.findall(r'id="job-([0-9a-f-]+)"', text)
        older = re.search(r'href="([^"]+)">Older', text)
        url = LIST + older[1] if older else None
    assert len(seen) == 2 * PAGE + 10
    assert len(set(seen)) == len(seen)


def test_the_list_says_what_went_wrong_and_not_only_what_the_owner_was_told(operator):
    job = fail.enqueue(message="disk 7 is full")
    work([str(job.pk)], job.queue)
    assert again(job).error["message"] != "disk 7 is full"
    assert "ValueError: disk 7 is full" in said(operator.get(LIST))


def test_counts_stop_at_the_cap(operator, monkeypatch):
    monkeypatch.setattr("jobs.operating.counting.CAP", 5)
    record.enqueue_many([record.job(number=number) for number in range(7)])
    assert "<b>5+</b>" in said(operator.get(LIST))
    [quick] = [queue for queue in queues.overview() if queue.name == "quick"]
    assert str(quick.waiting) == "7"  # what is unfinished is counted exactly
    Job.objects.start("a worker")
    Job.objects.succeed()
    [quick] = [queue for queue in queues.overview() if queue.name == "quick"]
    assert str(quick.counts[State.SUCCEEDED]) == "5+"


# --- one job ---


def test_the_page_of_a_job_tells_its_whole_history(operator):
    job = fail.enqueue(message="disk 7 is full")
    work([str(job.pk)], job.queue)
    Job.objects.update(run_at=job.created_at)
    work([str(job.pk)], job.queue)
    post(operator, job, "bury")
    post(operator, job, "requeue")
    text = said(operator.get(page(job)))
    timeline = re.findall(r"<p><b>([^<]+)</b> ?([^<]*)", text.partition('class="timeline"')[2])
    assert [re.sub(r" after .*", "", what) for what, _ in timeline] == [
        "Enqueued",
        "Attempt 1 failed",
        "Attempt 2 failed",
        "Buried",
        "Requeued",
        "Waits for a worker",
    ]
    assert timeline[3][1].strip() == "by operator@example.com"
    assert "ValueError: disk 7 is full" in text
    assert "in fail" in text  # the traceback
    assert '"message": "disk 7 is full"' in text


def test_the_list_offers_the_moves_that_something_in_it_may_make(operator):
    job = dead()
    record.enqueue(number=1)

    def offered(**filters: object) -> list[str]:
        return re.findall(r'formaction="[^"]+/move/(\w+)/"', said(operator.get(LIST, filters)))

    assert offered() == ["requeue", "cancel", "bury"]
    assert offered(state="queued") == ["cancel", "bury"]
    assert offered(fingerprint=job.fingerprint) == ["requeue"]


def test_only_the_moves_that_its_state_allows_are_offered(operator):
    offered = {}
    waiting, buried = record.enqueue(number=1), dead()
    done = record.enqueue(number=2)
    work([str(done.pk)], done.queue)
    for job in (waiting, buried, done):
        offered[again(job).state] = set(re.findall(r'<button id="(\w+)"', said(operator.get(page(job)))))
    assert offered == {"queued": {"cancel", "bury"}, "dead": {"requeue"}, "succeeded": set()}


@pytest.mark.parametrize(("verb", "state"), [("cancel", State.CANCELLED), ("bury", State.DEAD)])
def test_a_waiting_job_is_moved_and_the_act_is_audited(operator, verb, state):
    job = record.enqueue(number=1)
    post(operator, job, verb)
    assert again(job).state == state
    [entry] = LogEntry.objects.all()
    assert (entry.object_id, entry.user.email, act(entry).verb) == (str(job.pk), "operator@example.com", verb)


def test_a_requeued_job_is_published_by_the_clock(operator):
    job = dead()
    post(operator, job, "requeue")
    assert (again(job).state, again(job).attempt, again(job).published_at) == (State.QUEUED, 0, None)
    patrol.publish_due()
    assert again(job).published_at
    assert LogEntry.objects.count() == 1


def test_who_comes_too_late_is_told_so(operator):
    job = record.enqueue(number=1)
    work([str(job.pk)], job.queue)
    response = post(operator, job, "cancel")
    assert "It had changed in the meantime: it is succeeded, so there is nothing to cancel." in said(response)
    assert not LogEntry.objects.exists()


def test_a_job_is_requeued_with_edited_arguments(operator):
    job = dead(message="misspelt")
    url = reverse("admin:jobs_job_edit", args=[job.pk])
    assert "misspelt" in said(operator.get(url))
    operator.post(url, {"args": '{"message": "mended", "permanent": false}'})
    assert again(job).state == State.QUEUED
    assert again(job).args == {"message": "mended", "permanent": False}
    [entry] = LogEntry.objects.all()
    assert act(entry).details["args_before"]["message"] == "misspelt"
    assert Job.objects.count() == 1
    assert "Requeued with edited arguments" in said(operator.get(page(job)))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ('{"message": ', "This is not JSON."),
        ('["message"]', "Write an object"),
        ('{"massage": "a"}', "unexpected keyword argument 'massage'"),
        ('{"message": NaN}', "not JSON compliant"),
    ],
)
def test_arguments_that_do_not_fit_the_task_are_refused(operator, typed, message):
    job = dead(message="a")
    response = operator.post(reverse("admin:jobs_job_edit", args=[job.pk]), {"args": typed})
    assert message in said(response)
    assert html.escape(typed) in response.content.decode() or typed in said(response)  # nothing typed is lost
    assert (again(job).state, again(job).args["message"]) == (State.DEAD, "a")


def test_a_job_whose_task_is_gone_can_be_looked_at(operator):
    job = dead()
    Job.objects.update(task="shop.sell", args={"what": "<script>"})
    response = operator.get(page(job))
    assert "No task of this name" in said(response)
    assert b"<script>&quot;" not in response.content


def test_a_job_that_does_not_exist_is_not_found(operator):
    assert operator.get(LIST + "7/change/").status_code == 404
    assert operator.get(LIST + "00000000-0000-0000-0000-000000000000/change/").status_code == 404


# --- dead letters ---


def test_dead_letters_are_grouped_by_what_they_died_of(operator):
    for number in range(3):
        dead(message=f"card {number} was declined")
    other = dead(message="no such order")
    text = said(operator.get(DEAD))
    assert re.findall(r'class="tally"><a [^>]+>(\d+)<', text) == ["3", "1"]
    assert "card 2 was declined" in text
    link = f"{LIST}?{urlencode({'fingerprint': other.fingerprint})}"
    assert link in text
    assert listed(operator, fingerprint=other.fingerprint) == ids(other)


def test_dead_letters_take_the_filters_of_the_list(operator):
    dead(message="old")
    Job.objects.update(created_at=timezone.now() - timedelta(days=2))
    dead(message="new")
    text = said(operator.get(DEAD, {"since": "1d"}))
    assert "new" in text
    assert re.findall(r'class="tally"><a [^>]+>(\d+)<', text) == ["1"]
    assert operator.get(DEAD, {"sinse": "1d"}).status_code == 400


# --- queues ---


def test_a_paused_queue_starts_nothing_until_it_is_resumed(operator):
    job = record.enqueue(number=1)
    operator.post(reverse("admin:jobs_job_pause", args=["quick"]))
    assert "Paused" in said(operator.get(LIST))
    assert "Waits for the queue quick to be resumed" in said(operator.get(page(job)))
    work([str(job.pk)], "quick")  # its message is dropped
    assert again(job).state == State.QUEUED
    operator.post(reverse("admin:jobs_job_resume", args=["quick"]))
    patrol.publish_due()
    work([str(job.pk)], "quick")
    assert again(job).state == State.SUCCEEDED
    assert [act(entry).verb for entry in LogEntry.objects.order_by("pk")] == ["pause", "resume"]


def test_a_queue_shows_how_long_its_oldest_job_waits_and_not_what_is_yet_to_come(operator):
    record.enqueue(number=1, run_at=timezone.now() + timedelta(hours=1))
    [quick] = [queue for queue in queues.overview() if queue.name == "quick"]
    assert (str(quick.waiting), quick.due_since) == ("1", None)
    Job.objects.update(run_at=timezone.now() - timedelta(minutes=7))
    assert "7 min" in said(operator.get(LIST))


# --- the audit log ---


def test_the_audit_log_shows_every_act_and_cannot_be_changed(operator, admin_client):
    job = dead(message="a")
    post(operator, job, "requeue")
    entry = LogEntry.objects.get()
    text = said(operator.get(reverse("admin:admin_logentry_changelist"), {"q": str(job.pk)}))
    assert "operator@example.com" in text and page(job) in text
    for name in ("change", "delete"):
        url = reverse(f"admin:admin_logentry_{name}", args=[entry.pk])
        assert admin_client.post(url, {"post": "yes"}).status_code == 403
    assert LogEntry.objects.get() == entry
