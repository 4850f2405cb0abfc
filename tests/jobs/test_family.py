"""Jobs whose parts are jobs: in the process of the test, with every worker's move made by hand."""

import pytest

from jobs import family
from jobs.errors import LeaseLost, Suspended
from jobs.models import Job, State
from jobs.worker import Endings, run
from tests.trial.models import Entry
from tests.trial.tasks import part, whole

pytestmark = pytest.mark.django_db


def work_on(*jobs: Job) -> None:
    """What a worker does with each of these."""
    for job in Job.objects.filter(pk__in=[job.pk for job in jobs]).start("a worker"):
        run({"trial.whole": whole, "trial.part": part}[job.task.replace("tests.", "")], job, Endings())


def parent_of(parts: int, **launch: object) -> Job:
    job = whole.enqueue(parts=parts, **launch)
    work_on(job)
    job.refresh_from_db()
    return job


def parts_of(job: Job) -> list[Job]:
    return list(job.children.order_by("args__number"))


def state_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def test_a_parent_waits_for_its_parts_without_a_worker_or_an_attempt():
    job = parent_of(3)
    assert (job.state, job.attempt, job.lease_token) == (State.SUSPENDED, 0, None)
    assert [part.state for part in parts_of(job)] == [State.QUEUED] * 3


def test_parts_belong_to_the_owner_of_the_whole(django_user_model):
    owner = django_user_model.objects.create_user("owner@example.com")
    [part] = parts_of(parent_of(1, owner=owner, priority=0))
    assert (part.owner, part.priority) == (owner, 0)


def test_the_body_goes_on_when_the_last_part_has_succeeded():
    job = parent_of(2)
    first, second = parts_of(job)
    work_on(first)
    job.refresh_from_db()
    assert (job.state, job.progress) == (State.SUSPENDED, 0.5)
    work_on(second)
    assert state_of(job) == State.QUEUED
    work_on(job)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    assert sorted(Entry.objects.values_list("number", flat=True)) == [-1, 0, 1]


def test_a_part_that_dies_takes_the_whole_and_the_other_parts_along():
    job = parent_of(3, broken=1)
    first, broken, _ = parts_of(job)
    work_on(first)
    work_on(broken)
    job.refresh_from_db()
    assert (job.state, job.error) == (State.DEAD, {"type": "Refused", "message": "This part is broken."})
    assert job.fingerprint == Job.objects.get(pk=broken.pk).fingerprint
    assert [part.state for part in parts_of(job)] == [State.SUCCEEDED, State.DEAD, State.CANCELLED]


@pytest.mark.parametrize("verb", ["cancel", "bury"])
def test_parts_end_with_the_whole(verb: str):
    job = parent_of(2)
    first, second = parts_of(job)
    work_on(first)
    [running] = Job.objects.filter(pk=second.pk).start("a worker")
    getattr(Job.objects.filter(pk=job.pk), verb)()
    assert [part.state for part in parts_of(job)] == [State.SUCCEEDED, State.CANCELLED]
    with pytest.raises(LeaseLost):
        running.succeed()


def test_a_part_that_is_cancelled_cancels_the_whole():
    job = parent_of(2)
    Job.objects.filter(pk=parts_of(job)[0].pk).cancel()
    family.go_on(Job.objects.all())
    assert state_of(job) == State.CANCELLED
    assert {part.state for part in parts_of(job)} == {State.CANCELLED}


def test_requeued_the_whole_repeats_only_the_parts_that_had_not_succeeded():
    job = parent_of(3)
    first, *others = parts_of(job)
    work_on(first)
    Job.objects.filter(pk=job.pk).cancel()
    Job.objects.filter(pk=job.pk).requeue()
    work_on(job)
    assert state_of(job) == State.SUSPENDED
    assert [part.state for part in parts_of(job)] == [State.SUCCEEDED, State.QUEUED, State.QUEUED]
    work_on(*others)
    work_on(job)
    assert state_of(job) == State.SUCCEEDED
    assert sorted(Entry.objects.values_list("number", flat=True)) == [-1, 0, 1, 2]


def test_a_worker_that_lost_its_lease_makes_no_parts():
    whole.enqueue(parts=2)
    [zombie] = Job.objects.start("a worker")
    Job.objects.filter(pk=zombie.pk).release()
    with pytest.raises(LeaseLost):
        family.wait_for(zombie, [part.job(number=1, seconds=0, broken=False, key="1")])
    assert not Job.objects.filter(parent=zombie).exists()


def test_what_nobody_noticed_the_patrol_does():
    job = parent_of(2)
    for one in Job.objects.filter(parent=job).start("a worker that dies before it looks after the parent"):
        one.succeed()
    assert state_of(job) == State.SUSPENDED
    family.go_on(Job.objects.all())
    assert state_of(job) == State.QUEUED


def test_an_attempt_that_dies_takes_its_parts_along():
    job = parent_of(2)
    Job.objects.filter(pk=job.pk).resume()
    [attempt] = Job.objects.filter(pk=job.pk).start("a worker")
    attempt.bury(ValueError("no"), "Sorry.")
    assert {part.state for part in parts_of(job)} == {State.CANCELLED}


def test_to_wait_for_what_has_succeeded_is_not_to_wait():
    job = parent_of(1)
    [only] = parts_of(job)
    Job.objects.filter(pk=only.pk).start("a worker")[0].succeed()
    Job.objects.filter(pk=job.pk).resume()
    [again] = Job.objects.filter(pk=job.pk).start("a worker")
    family.wait_for(again, [part.job(number=0, seconds=0, broken=False, key="0")])
    with pytest.raises(Suspended):
        family.wait_for(again, [part.job(number=1, seconds=0, broken=False, key="1")])


def test_owners_see_the_whole_and_not_its_parts(django_user_model):
    owner = django_user_model.objects.create_user("owner@example.com")
    job = parent_of(2, owner=owner)
    assert list(Job.objects.of(owner)) == [job]


def test_operators_find_the_parts_from_the_whole_and_back(admin_client):
    job = parent_of(2)
    page = admin_client.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert f"?parent={job.pk}&amp;state=queued" in page and "Waits for its parts" in page
    listed = admin_client.get(f"/admin/jobs/job/?parent={job.pk}&state=queued").content.decode()
    assert all(str(part.pk) in listed for part in parts_of(job))
    assert str(job.pk) in admin_client.get(f"/admin/jobs/job/{parts_of(job)[0].pk}/change/").content.decode()
