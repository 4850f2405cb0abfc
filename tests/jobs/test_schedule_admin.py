"""The schedule, as operators see it and change it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from config.schedule import SCHEDULE
from jobs import entries, slots
from jobs.leader import Leadership
from jobs.models import Entry, Job, Slot, State
from jobs.operating.acts import act
from orders.tasks import reconcile_payments
from tests.browser import log_in, screenshots
from tests.jobs.operators import said, staff

LIST = reverse("admin:jobs_entry_changelist")
NAME = "reconcile payments"


@pytest.fixture
def entry(db) -> Entry:
    entries.sync(SCHEDULE)
    return Entry.objects.get(name=NAME)


def address(entry: Entry, what: str = "change") -> str:
    return reverse(f"admin:jobs_entry_{what}", args=[entry.pk])


def after(entry: Entry) -> Entry:
    return Entry.objects.get(pk=entry.pk)


def audited() -> list[str]:
    return [act(one).verb for one in LogEntry.objects.order_by("pk")]


def past(entry: Entry) -> None:
    """What a night, an outage and a long job leave behind."""
    at = datetime(2026, 11, 20, 3, 5, tzinfo=UTC)
    for day, outcome, late in [
        (0, Slot.Outcome.FIRED, 0.02),
        (1, Slot.Outcome.MISSED, 90_000),
        (2, Slot.Outcome.CAUGHT_UP, 1200),
        (3, Slot.Outcome.SKIPPED, 0.1),
    ]:
        slot = at + timedelta(days=day)
        job = reconcile_payments.enqueue() if outcome in (Slot.Outcome.FIRED, Slot.Outcome.CAUGHT_UP) else None
        fired_at = slot + timedelta(seconds=late)
        Slot.objects.create(entry=entry, slot=slot, outcome=outcome, job=job, fired_at=fired_at)
    last = at - timedelta(days=1)
    many = {"slot": last - timedelta(days=400), "last": last, "number": 401}
    Slot.objects.create(entry=entry, outcome=Slot.Outcome.MISSED, fired_at=at, **many)


def test_the_schedule_says_when_each_entry_is_due_and_that_nobody_leads(operator, entry):
    text = operator.get(LIST).content.decode()
    assert "Nobody leads" in text
    for name in SCHEDULE:
        assert name in text
    assert "5 3 * * *" in text
    Leadership("server1:7").hold()
    Leadership("server2:8").hold()
    text = operator.get(LIST).content.decode()
    assert "Nobody leads" not in text
    assert "Led by <b>server1:7</b>" in text
    assert "Standing by: server2:8." in text


def test_an_entry_shows_what_became_of_each_slot(observer, entry):
    past(entry)
    text = observer.get(address(entry)).content.decode()
    for outcome in ("Fired", "Caught up", "Skipped", "Missed"):
        assert f">{outcome}</span>" in text
    assert "20 min" in text
    assert "401 slots" in text
    for job in Job.objects.all():
        assert reverse("admin:jobs_job_change", args=[job.pk]) in text


def test_pages_of_slots_follow_each_other(observer, entry, monkeypatch):
    past(entry)
    monkeypatch.setattr("jobs.operating.scheduling.PAGE", 3)
    first = observer.get(address(entry))
    assert [slot.slot.day for slot in first.context["slots"]] == [23, 22, 21]
    older = observer.get(address(entry), {"before": first.context["older"].isoformat()})
    assert [slot.number for slot in older.context["slots"]] == [1, 401]
    assert older.context["older"] is None


def test_pausing_and_resuming_are_acts(operator, entry):
    assert "is paused" in said(operator.post(address(entry, "pause"), follow=True))
    assert not after(entry).enabled
    assert "Paused" in operator.get(LIST).content.decode()
    assert "goes on" in said(operator.post(address(entry, "resume"), follow=True))
    assert after(entry).enabled
    assert audited() == ["pause", "resume"]


def test_the_time_is_changed_and_what_makes_no_sense_is_refused(operator, entry):
    refused = operator.post(address(entry, "time"), {"when": "25 o'clock", "timezone": "UTC"})
    assert "Write five fields" in refused.content.decode()
    operator.post(address(entry, "time"), {"when": "30 4 * * 1-5", "timezone": "Europe/Berlin"})
    assert after(entry).times == slots.Crontab("30 4 * * 1-5", "Europe/Berlin")
    assert "5 3 * * *" in operator.get(address(entry)).content.decode(), "what code says is not shown"
    operator.post(address(entry, "time"), {"when": "every 5 minutes", "timezone": ""})
    assert after(entry).times == slots.Every(timedelta(minutes=5))
    assert audited() == ["change time", "change time"]


def test_run_now_makes_a_job_of_its_own_unless_one_is_unfinished(operator, entry):
    operator.post(address(entry, "run"))
    job = Job.objects.get()
    assert job.task == entry.task
    assert job.key.endswith(" by hand")
    assert Slot.objects.get().outcome == Slot.Outcome.BY_HAND
    assert "may not overlap" in said(operator.post(address(entry, "run"), follow=True))
    Job.objects.update(state=State.SUCCEEDED)
    operator.post(address(entry, "run"))
    assert Job.objects.count() == 2
    assert audited() == ["run now", "run now"]


def test_an_observer_sees_and_cannot_act(observer, entry):
    text = observer.get(LIST).content.decode() + observer.get(address(entry)).content.decode()
    assert "Run now" not in text
    assert {observer.post(address(entry, what)).status_code for what in ("pause", "resume", "run", "time")} == {403}
    assert observer.get(address(entry, "time")).status_code == 403
    assert after(entry).enabled
    assert not Job.objects.exists()


def test_other_staff_see_nothing_and_acts_need_a_post(operator, entry):
    assert staff("other@example.com").get(LIST).status_code == 403
    assert {operator.get(address(entry, what)).status_code for what in ("pause", "resume", "run")} == {405}
    assert operator.get(reverse("admin:jobs_entry_change", args=[99999])).status_code == 404


def test_what_code_dropped_is_shown_and_cannot_be_run(operator, entry):
    Entry.objects.filter(pk=entry.pk).update(name="gone")
    entries.sync(SCHEDULE)
    assert "Dropped from code" in operator.get(LIST).content.decode()
    assert "does not declare" in said(operator.post(address(entry, "run"), follow=True))


@pytest.mark.parametrize("model", ["periodictask", "solarschedule", "clockedschedule", "crontabschedule"])
def test_the_pages_of_django_celery_beat_are_not_offered(model):
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:django_celery_beat_{model}_changelist")


@pytest.mark.browser
def test_the_schedule_in_a_browser(make_stack, page: Page):
    site = make_stack(only=["web", "valkey"])
    site.manage("demo_users")
    with site.inside():
        entries.sync(SCHEDULE)
        entry = Entry.objects.get(name=NAME)
        past(entry)
        Job.objects.update(state=State.SUCCEEDED)
        entries.pause(Entry.objects.get(name="prune finished jobs"))
        Leadership("server1:7").hold()
        Leadership("server2:8").hold()
    log_in(page, site.url, "admin@example.com", "admin")
    page.goto(f"{site.url}{LIST}")
    screenshots(page, "admin-schedule")
    page.get_by_role("link", name=NAME).click()
    screenshots(page, "admin-schedule-entry")
    page.get_by_role("link", name="Change time…").click()
    page.get_by_label("When").fill("nonsense")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_text("Write five fields")).to_be_visible()
    screenshots(page, "admin-schedule-time")
    page.get_by_label("When").fill("0 4 * * *")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_text("has another time")).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("By hand")).to_be_visible()
    with site.inside():
        assert Job.objects.filter(key__endswith="by hand", created_at__lte=timezone.now()).exists()
