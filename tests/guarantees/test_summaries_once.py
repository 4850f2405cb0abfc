"""Everybody gets their summary once, though workers are killed and the mail server misbehaves in every way it can.

The long form is a mailing of 10,000. What nobody can exclude (see `mail.once`) is counted, and must look like itself:
the same Message-ID, and an attempt lost on the job.
"""

import asyncio
import os
import random
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from jobs.models import Job, State
from summaries.models import Mailing, Recipient
from summaries.tasks import mail_summaries, send_summary
from tests.smtp import MailServer
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

LONG = os.environ.get("CHAOS") == "long"
PEOPLE, KILLS = (10_000, 10) if LONG else (100, 2)


class Moody(MailServer):
    """Now and then slow, or busy (451), or it hangs up: before it has the mail, and after it has taken it."""

    MOODS = {None: 0.935, "slow": 0.01, "451 4.3.0 Busy": 0.03, "hang up": 0.02, "hang up after": 0.005}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if random.random() < 0.01:
            server.transport.abort()
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        [mood] = random.choices(list(self.MOODS), list(self.MOODS.values()))
        if mood == "slow":
            await asyncio.sleep(0.3)
        elif mood == "hang up":
            server.transport.abort()
            return "421 Bye"
        elif mood == "451 4.3.0 Busy":
            return mood
        taken = await super().handle_DATA(server, session, envelope)
        if mood == "hang up after":
            server.transport.abort()
        return taken


@pytest.fixture(scope="module")
def moody() -> Any:
    server = Moody()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(make_stack: Any, moody: Moody) -> Any:
    lines = ["worker-quick", "worker-bulk", "clock", "valkey"]
    site = make_stack(
        only=lines,
        EMAIL_URL=moody.url,
        JOB_LEASE_SECONDS="3",
        SUMMARIES_PER_SECOND="150",
        QUICK_WORKERS="1",
        BULK_WORKERS="2",
    )
    with site.inside():
        yield site


def people_with_work(number: int) -> None:
    """So many, each of whom had a job that ended yesterday."""
    users = User.objects.bulk_create([User(email=f"reader{n}@example.com") for n in range(number)], batch_size=1000)
    ended = timezone.now() - timedelta(days=1)
    jobs = [
        Job(
            task="videos.transcode_video",
            args={"video_id": "8f14e45f-ceea-467f-a8f4-000000000000"},
            queue="media",
            owner=user,
            state=State.SUCCEEDED,
            max_attempts=3,
            finished_at=ended,
        )
        for user in users
    ]
    Job.objects.bulk_create(jobs, batch_size=1000)


def test_a_mailing_reaches_everybody_once(site: Stack, moody: Moody) -> None:
    people_with_work(PEOPLE)
    began = time.monotonic()
    mail_summaries.enqueue(slot=timezone.now().isoformat())
    wait_until(lambda: Recipient.objects.exists(), timeout=60)
    site.kill("worker-quick")  # in the midst of freezing, or just after
    for turn in range(KILLS):
        wait_until(lambda turn=turn: len(moody.mails) > PEOPLE * (turn + random.random()) / (KILLS + 1), timeout=600)
        site.kill("worker-bulk")
    mails = Job.objects.filter(task=send_summary.name)
    wait_until(lambda: Mailing.objects.filter(frozen_at__isnull=False).exists(), timeout=60)
    wait_until(lambda: not hurried(mails).exclude(state=State.SUCCEEDED).exists(), timeout=900, every=0.5)
    took = time.monotonic() - began

    per_person = Counter(to for to, _ in moody.mails)
    ids: dict[str, set[str]] = {}
    for to, message in moody.mails:
        ids.setdefault(to, set()).add(message["message-id"])
    twice = {to: number for to, number in per_person.items() if number > 1}
    errors = Counter(error["error"] for job in mails.exclude(errors=[]) for error in job.errors)
    print(
        f"\n{PEOPLE} summaries in {took:.0f} s ({PEOPLE / took:.0f} per second), {KILLS} SIGKILLs; failed attempts: "
        f"{dict(errors)}; sent again under the same Message-ID: {len(twice)}"
    )
    assert Mailing.objects.get().tally == {"sent": PEOPLE, "waiting": 0, "failed": 0, "left_out": 0, "pruned": 0}
    assert len(per_person) == PEOPLE, "somebody got none"
    assert errors, "nothing went wrong, so nothing was shown"
    assert all(len(one) == 1 for one in ids.values()), "two different mails to one person"
    for to, number in twice.items():
        failed = mails.get(owner__email=to).errors
        assert number <= 1 + sum(one["error"] in ("SMTPServerDisconnected", "worker_lost") for one in failed)


def hurried(mails: Any) -> Any:
    """What is to be tried again is tried at once: how long it waits is not what is shown."""
    mails.filter(state=State.RETRYING).update(run_at=timezone.now())
    return mails
