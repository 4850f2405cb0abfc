"""The operators' place on a terminal. It works without broker and workers: it only needs the database."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from jobs import queues
from jobs.models import Job, State
from jobs.operating import acts, deadletters, listing
from jobs.operating.durations import short
from jobs.operating.filters import FILTERS, BadFilter, Filters
from jobs.operating.timeline import DONE, timeline


class Command(BaseCommand):
    help = "Look at jobs, and requeue, cancel or bury them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

        listed = commands.add_parser("list", help="jobs that match, the newest first")
        add_filters(listed)
        listed.add_argument("--limit", type=int, default=50)

        shown = commands.add_parser("show", help="one job, with its whole history")
        shown.add_argument("id", type=UUID)

        for verb in acts.VERBS:
            moved = commands.add_parser(verb, help=f"{verb} jobs, given by ids or by filters")
            moved.add_argument("ids", nargs="*", type=UUID, metavar="ID")
            add_filters(moved)
            moved.add_argument("--by", metavar="EMAIL", help="who does it, for the audit log")
            moved.add_argument("--dry-run", action="store_true", help="only say how many there are")

        for act in ("pause", "resume"):
            queue = commands.add_parser(act, help=f"{act} a queue")
            queue.add_argument("queue")
            queue.add_argument("--by", required=True, metavar="EMAIL", help="who does it, for the audit log")

        add_filters(commands.add_parser("dead", help="dead jobs by what they died of"))
        commands.add_parser("stats", help="how many jobs of each state are in each queue")
        for command in commands.choices.values():
            command.add_argument("--json", dest="as_json", action="store_true", help="for programs")

    def handle(self, *, command: str, **options: Any) -> None:
        handlers: dict[str, Callable[..., None]] = {
            "list": self.list_jobs,
            "show": self.show_job,
            "dead": self.list_problems,
            "stats": self.list_queues,
            "pause": self.pause,
            "resume": self.resume,
            **{verb: partial(self.move, verb) for verb in acts.VERBS},
        }
        try:
            handlers[command](**options)
        except BadFilter as error:
            raise CommandError(str(error)) from error

    # --- looking ---

    def list_jobs(self, *, limit: int, as_json: bool, **options: Any) -> None:
        jobs = listing.page(read_filters(options).jobs(), size=limit).jobs
        if as_json:
            self.print_json([about(job) for job in jobs])
            return
        self.print_table(
            ("ID", "STATE", "TASK", "QUEUE", "OWNER", "ATTEMPT", "AGE", "TOOK", "ERROR"),
            [
                (
                    *(str(job.pk), job.state, job.task, job.queue, owner_of(job), f"{job.attempt}/{job.max_attempts}"),
                    *(short(timezone.now() - job.created_at), taken(job), wrong(job)[:60]),
                )
                for job in jobs
            ],
        )

    def show_job(self, *, id: UUID, as_json: bool, **options: Any) -> None:  # noqa: A002
        job = Job.objects.select_related("owner").filter(pk=id).first()
        if job is None:
            raise CommandError(f"There is no job {id}.")
        if as_json:
            self.print_json({**about(job), "result": job.result, "errors": job.errors})
            return
        self.print_facts(job)
        for event in timeline(job):
            at = event.at.isoformat(" ", "seconds") if event.at else "now"
            self.stdout.write(f"{at:25}  {event.what} {event.by}".rstrip())
            for line in (*event.text.splitlines(), *event.traceback.splitlines()):
                self.stdout.write(f"{'':27}{line}")

    def list_problems(self, *, as_json: bool, **options: Any) -> None:
        problems = deadletters.problems(read_filters(options))
        if as_json:
            self.print_json([{**vars(one), "sample": about(one.sample)} for one in problems])
            return
        self.print_table(
            ("FINGERPRINT", "JOBS", "TASK", "LAST", "ERROR"),
            [
                (
                    *(one.fingerprint, f"{one.number:,}", one.sample.task),
                    *(f"{short(timezone.now() - one.last_at)} ago", wrong(one.sample)[:80]),
                )
                for one in problems
            ],
        )

    def list_queues(self, *, as_json: bool, **options: Any) -> None:
        overview = queues.overview()
        if as_json:
            self.print_json(
                [
                    {
                        "queue": queue.name,
                        "paused_at": queue.paused_at,
                        "due_since": queue.due_since,
                        **{state: count._asdict() for state, count in queue.counts.items()},
                    }
                    for queue in overview
                ]
            )
            return
        self.print_table(
            ("QUEUE", *(state.upper() for state in State), "LONGEST WAIT"),
            [
                (
                    *(queue.name, *map(str, queue.counts.values())),
                    "paused" if queue.paused_at else waited(queue),
                )
                for queue in overview
            ],
        )

    # --- acting ---

    def move(self, verb: str, *, ids: list[UUID], by: str | None, dry_run: bool, as_json: bool, **options: Any) -> None:
        """At once, not by a job: whoever works on a terminal may do so because no worker runs."""
        if ids and options["id"]:
            raise CommandError("Give the ids either bare or as --id.")
        filters = read_filters({**options, "id": options["id"] or ",".join(map(str, ids))})
        if not filters.written():
            raise CommandError(f"Say which jobs to {verb}: give ids or filters. All of a state: --state dead")
        forecast = acts.forecast(filters, verb)
        if dry_run:
            self.print_forecast(verb, forecast, as_json)
            return
        number = acts.move_all(filters, verb, operator_named(by), asked_at=timezone.now())
        if as_json:
            self.print_json({"moved": number})
            return
        self.stdout.write(f"{DONE[verb]} {number:,}.")
        for state, staying in forecast.staying.items():
            self.stdout.write(f"{staying:,} are {state} and stay so.")

    def pause(self, *, queue: str, by: str, **options: Any) -> None:
        acts.pause(queue, operator_named(by))

    def resume(self, *, queue: str, by: str, **options: Any) -> None:
        acts.resume(queue, operator_named(by))

    # --- printing ---

    def print_forecast(self, verb: str, forecast: acts.Forecast, as_json: bool) -> None:
        if as_json:
            self.print_json(forecast._asdict())
            return
        self.stdout.write(f"Would {verb} {forecast.number:,}.")
        for state, number in forecast.moving.items():
            self.stdout.write(f"{number:,} are {state}.")
        for state, number in forecast.staying.items():
            self.stdout.write(f"{number:,} are {state} and would stay so.")

    def print_facts(self, job: Job) -> None:
        facts = {
            "id": job.pk,
            "task": job.task,
            "state": job.state,
            "queue": job.queue,
            "owner": owner_of(job),
            "attempt": f"{job.attempt} of {job.max_attempts}",
            "took": taken(job),
            "worker": job.worker,
            "key": job.key,
            "note": job.note,
            "fingerprint": job.fingerprint,
            "error": wrong(job),
            "args": json.dumps(job.args, ensure_ascii=False),
            "result": job.result and json.dumps(job.result, ensure_ascii=False),
        }
        for name, value in facts.items():
            if value:
                self.stdout.write(f"{name:12} {value}")
        self.stdout.write("")

    def print_table(self, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def add_filters(parser: ArgumentParser) -> None:
    for name, one in FILTERS.items():
        parser.add_argument(f"--{name}", default="", help=one.help)


def read_filters(options: dict[str, Any]) -> Filters:
    return Filters.read({name: options[name] for name in FILTERS})


def operator_named(email: str | None) -> Any:
    if email is None:
        raise CommandError("Say who does it, for the audit log: --by EMAIL")
    user_model = get_user_model()
    try:
        user = user_model._default_manager.get_by_natural_key(email)
    except user_model.DoesNotExist:
        raise CommandError(f"No user has the address {email}.") from None
    if not (user.is_active and user.is_staff and user.has_perm("jobs.operate_job")):
        raise CommandError(f"{email} is not an operator.")
    return user


def about(job: Job) -> dict[str, Any]:
    names = ("id", "task", "state", "queue", "args", "attempt", "max_attempts", "error", "fingerprint")
    moments = ("created_at", "started_at", "finished_at")
    return {**{name: getattr(job, name) for name in (*names, *moments)}, "owner": owner_of(job)}


def owner_of(job: Job) -> str:
    return job.owner.get_username() if job.owner else ""


def taken(job: Job) -> str:
    took = listing.took(job)
    return short(took) if took is not None else ""


def wrong(job: Job) -> str:
    """What it met last, as operators see it."""
    return listing.wrong(job).replace("\n", " ")


def waited(queue: queues.Queue) -> str:
    return short(timezone.now() - queue.due_since) if queue.due_since else ""
