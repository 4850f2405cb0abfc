"""A summary as its reader sees it, and a mailing as an operator does."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from jobs.models import Job, State
from jobs.worker import work
from notifications import choices
from notifications.models import Channel, Event
from summaries import freezing
from summaries.models import Mailing
from summaries.tasks import launch, send_summary
from tests.browser import log_in, screenshots
from tests.client import new_email
from tests.stack import Stack
from videos.models import Video
from videos.tasks import transcode_video

pytestmark = pytest.mark.browser

NOW = timezone.now()
YESTERDAY = (NOW - timedelta(days=1)).date()


@pytest.fixture(scope="module")
def site(make_module_stack: Any) -> Stack:
    site = make_module_stack(database="sqlite", only=["web", "valkey"])
    site.manage("demo_users")
    return site


def person(**videos: State) -> User:
    """Somebody whose videos came to these ends yesterday."""
    user = User.objects.create_user(new_email())
    for title, end in videos.items():
        video = Video.objects.create(owner=user, title=title.replace("_", " "))
        video.job = transcode_video.enqueue(video_id=str(video.pk), owner=user)
        video.save()
        problem = "This video is damaged: most of it cannot be shown. Export it again and upload the new file."
        error = {"type": "NotPlayable", "message": problem} if end == State.DEAD else None
        Job.objects.filter(pk=video.job.pk).update(state=end, error=error, finished_at=NOW - timedelta(days=1))
    return user


def freeze() -> list[Job]:
    """Write down who gets a summary of yesterday. Returns the jobs of their mails."""
    list(freezing.freeze(YESTERDAY, launch))
    return list(Job.objects.filter(task=send_summary.name).waiting())


def send(site: Stack, jobs: list[Job]) -> None:
    """As a worker does, which is not here to be waited for."""
    backend = "django.core.mail.backends.filebased.EmailBackend"
    with override_settings(EMAIL_BACKEND=backend, EMAIL_FILE_PATH=site.folder / "mail", SITE_URL=site.url):
        for job in jobs:
            Job.objects.filter(pk=job.pk).update(run_at=job.created_at)
            work([str(job.pk)], job.queue)


def test_a_summary_is_read_and_unsubscribed_from_without_logging_in(page: Page, site: Stack) -> None:
    with site.inside():
        ann = person(
            Harbour_at_four=State.SUCCEEDED,
            The_long_way_home=State.SUCCEEDED,
            Interview_with_the_night_watch=State.DEAD,
        )
        send(site, freeze())
    page.goto(f"{site.url}/inbox/")
    screenshots(page, "inbox-with-summary")
    page.get_by_role("link", name=f"Your {YESTERDAY:%A}: 1 to look at, 2 ready").click()
    mail = page.frame_locator("iframe")
    expect(mail.get_by_role("link", name="“Interview with the night watch” could not be converted")).to_be_visible()
    screenshots(page, "mail-summary")
    mail.get_by_role("link", name="Get it no more").click()
    expect(page.get_by_role("heading", name="Get no more of these mails?")).to_be_visible()
    screenshots(page, "unsubscribe")
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", name="No more of these mails.")).to_be_visible()
    screenshots(page, "unsubscribed")
    with site.inside():
        assert not choices.wants(ann, Event.DAILY_SUMMARY, Channel.MAIL)


def test_an_operator_sees_where_a_mailing_stands_and_pauses_it(page: Page, site: Stack) -> None:
    with site.inside():
        Mailing.objects.all().delete()
        unwilling, *_ = [person(Harbour_at_four=State.SUCCEEDED) for _ in range(5)]
        failing, _, *others = freeze()
        choices.choose(unwilling, Event.DAILY_SUMMARY, Channel.MAIL, wanted=False)
        send(site, others)
        Job.objects.filter(pk=failing.pk).bury()
        long_ago = Mailing.objects.create(day=YESTERDAY - timedelta(days=40), recipients=10_000)
        Mailing.objects.filter(pk=long_ago.pk).update(began_at=NOW, frozen_at=NOW)
    log_in(page, site.url, "admin@example.com", "admin")
    page.goto(f"{site.url}/admin/summaries/mailing/")
    row = page.locator("#result_list tbody tr").first
    cells = row.get_by_role("cell").all_inner_texts()
    assert cells[1:] == ["5", "2", "1", "1", "1", "0", "Resend failed only…"]
    expect(page.get_by_role("row").filter(has_text="10,000")).to_be_visible()
    screenshots(page, "admin-mailings")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".badge")).to_contain_text("Paused")
    screenshots(page, "admin-mailings-paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Mailings go on")).to_be_visible()
