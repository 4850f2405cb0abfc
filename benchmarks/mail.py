"""How many mails a second does a mailing send, against a loop of smtplib that sends one mail again and again?

Daily summaries, each with its job, its recipient and its own words, sent by the worker for mailings: one process. The
loop has its mail ready, and sends it over a connection for each, or over one for all. The lanes take turns, to the same
mail server, which takes everything and keeps nothing. Each turn of ours is the mailing of another day.

    python -m benchmarks.mail [recipients of each mailing]
"""

import signal
import smtplib
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from math import inf
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import prepare, running
from config.processes import Processes
from tests.linux import processor_time_of

if TYPE_CHECKING:
    from tests.stack import Stack

ROUNDS = 5
RECIPIENTS = 400
POLL = 0.05  # seconds: to look more often would take from the worker what is measured

MAILING = "a mailing"
BARE = ["a connection each", "one connection"]

Rates = dict[str, list[float]]  # mails per second, by lane


def main() -> None:
    recipients = int(sys.argv[1]) if len(sys.argv) > 1 else RECIPIENTS
    prepare()
    with mail_server() as port, running(only=["worker-bulk", "clock", "valkey"], EMAIL_URL=url(port)) as site:
        rates, processor_times = take_turns(site, port, recipients)
    figures = {f"mails per second, {lane}": statistics.median(values) for lane, values in rates.items()}
    figures["the worker's processor time, ms per mail"] = 1000 * statistics.median(processor_times)
    ratios = {f"a mailing against {bare}": ratio(rates, bare) for bare in BARE}
    print_rows(["", "median"], [[name, f"{value:,.2f}"] for name, value in {**figures, **ratios}.items()])
    each, _ = ratios.items()
    conclude("mail", figures | ratios, [target(*each, at_least=0.5)])


def ratio(rates: Rates, bare: str) -> float:
    """Within each round, whose lanes ran side by side, and then the median."""
    return statistics.median(one / other for one, other in zip(rates[MAILING], rates[bare], strict=True))


def url(port: int) -> str:
    return f"smtp://127.0.0.1:{port}"


@contextmanager
def mail_server() -> Iterator[int]:
    """In a process of its own. Yields its port."""
    from tests.stack import free_port
    from tests.waiting import wait_until

    port = free_port()
    command = f"python -m aiosmtpd --nosetuid --class aiosmtpd.handlers.Sink --listen 127.0.0.1:{port}"
    server = Processes({"mail-server": command})
    server.start()
    try:
        wait_until(lambda: listens(port))
        yield port
    finally:
        server.stop()


def listens(port: int) -> bool:
    try:
        smtplib.SMTP("127.0.0.1", port).close()
    except ConnectionRefusedError:
        return False
    return True


def take_turns(site: "Stack", port: int, recipients: int) -> tuple[Rates, list[float]]:
    """The rates, and the seconds of processor time that the worker needs for a mail."""
    from django.conf import settings

    settings.SUMMARIES_PER_SECOND = inf
    people = make_people(recipients)
    newest = datetime.now(UTC).date()
    mail = a_summary(people[0], newest)
    rates: Rates = {}
    processor_times = []
    for turn in range(ROUNDS + 1):
        each = send_bare(port, mail, mails=1, connections=recipients)
        one = send_bare(port, mail, mails=recipients, connections=1)
        ours, used = send_mailing(site, people, newest - timedelta(days=1 + turn))
        if turn:  # the first round warms up
            for lane, seconds in zip([*BARE, MAILING], [each, one, ours], strict=True):
                rates.setdefault(lane, []).append(recipients / seconds)
            processor_times.append(used / recipients)
    return rates, processor_times


def send_bare(port: int, mail: bytes, mails: int, connections: int) -> float:
    """Send so many mails over each of so many connections. Returns seconds."""
    began = perf_counter()
    for _ in range(connections):
        with smtplib.SMTP("127.0.0.1", port) as connection:
            for _ in range(mails):
                connection.sendmail("us@example.com", "you@example.com", mail)
    return perf_counter() - began


def send_mailing(site: "Stack", people: list[Any], day: date) -> tuple[float, float]:
    """Seconds until a mailing that waits for the worker is sent, and how many of processor time the worker needs."""
    site.kill("worker-bulk", signal.SIGSTOP)
    mailing = freeze(people, day)
    used, began = processor_time(site), perf_counter()
    site.kill("worker-bulk", signal.SIGCONT)
    while waiting():
        sleep(POLL)
    took = perf_counter() - began
    used = processor_time(site) - used
    assert mailing.tally["sent"] == len(people)
    return took, used


def processor_time(site: "Stack") -> float:
    return sum(map(processor_time_of, [site.pid("worker-bulk"), *site.children("worker-bulk")]))


def make_people(number: int) -> list[Any]:
    from accounts.models import User

    return User.objects.bulk_create(User(email=f"reader{n}@example.com") for n in range(number))


def freeze(people: list[Any], day: date) -> Any:
    """A mailing to these people, each of whom has a video that became ready on this day."""
    from jobs.models import Job, State
    from summaries import freezing
    from summaries.models import Mailing
    from summaries.tasks import launch
    from videos.models import Video
    from videos.tasks import transcode_video

    noon = datetime.combine(day, time(12), tzinfo=UTC)
    videos = [Video(owner=person, title="Harbour at four in the morning") for person in people]
    for video in videos:
        video.job = transcode_video.job(video_id=str(video.pk), owner=video.owner)
        video.job.state, video.job.finished_at = State.SUCCEEDED, noon
    Job.objects.bulk_create(video.job for video in videos)
    Video.objects.bulk_create(videos)
    list(freezing.freeze(day, launch))
    return Mailing.objects.get(day=day)


def waiting() -> bool:
    from jobs.models import UNFINISHED, Job

    return Job.objects.filter(queue="bulk", state__in=UNFINISHED).exists()


def a_summary(person: Any, day: date) -> bytes:
    """What the worker sends, ready to be sent."""
    from django.core import mail
    from django.test import override_settings

    from jobs.models import Job
    from jobs.worker import work

    freeze([person], day)
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
        work([str(Job.objects.get(queue="bulk").pk)], "bulk")
    [message] = mail.outbox
    return message.message().as_bytes(linesep="\r\n")


if __name__ == "__main__":
    main()
