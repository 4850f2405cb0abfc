"""How the jobs that have finished fared: how many, how long they waited and ran, and what they died of."""

from collections import Counter
from datetime import UTC, timedelta
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from jobs.models import FINISHED, Job, State
from reports.figures import Chart, Column, Fact, Figures, Kind, Table, change
from reports.period import Period

WAITED = ExpressionWrapper(F("started_at") - F("run_at"), output_field=DurationField())
RAN = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
COUNTED = {"number": Count("pk"), **{state.value: Count("pk", filter=Q(state=state)) for state in FINISHED}}
SPANS = {"waited": Avg(WAITED), "waited_longest": Max(WAITED), "ran": Avg(RAN), "ran_longest": Max(RAN)}

NUMBERS = [Column(name, Kind.NUMBER) for name in ("Finished", "Succeeded", "Dead", "Cancelled")]
TIMES = ("Waited, average", "Waited, longest", "Ran, average", "Ran, longest")


def figures(period: Period, owner: Any) -> Figures:
    return Figures(
        facts=facts(period, owner),
        tables=[daily(period, owner), by_task(period, owner), failures(period, owner)],
        notes=[
            "A job counts on the day on which it finished.",
            "It waited from the moment at which it was due until its last attempt began, and ran from then on.",
            "Finished jobs are kept for some weeks only: what is older than that is not counted.",
        ],
    )


def daily(period: Period, owner: Any) -> Table:
    found = (
        finished(period, owner)
        .order_by()
        .annotate(day=TruncDate("finished_at", tzinfo=UTC))
        .values_list("day")
        .annotate(**COUNTED)
    )
    of = {day: numbers for day, *numbers in found}
    rows = [[day, *of.get(day, [0] * len(NUMBERS))] for day in period.every_day()]
    chart = Chart("Jobs finished by day", 1, len(rows), line=True)
    return Table("day", [Column("Day", Kind.DAY), *NUMBERS], rows, chart, in_print=not period.is_long)


def by_task(period: Period, owner: Any) -> Table:
    found = finished(period, owner).order_by().values_list("task").annotate(**COUNTED, attempts=Sum("attempt"), **SPANS)
    columns = [
        Column("Task", Kind.TEXT),
        *NUMBERS,
        Column("Attempts", Kind.NUMBER),
        *(Column(name, Kind.SPAN) for name in TIMES),
    ]
    rows: list[list[Any]] = sorted(map(list, found), key=lambda one: (-one[1], one[0]))
    chart = Chart("Jobs finished by task", 1, min(len(rows), 12), line=False)
    return Table("task", columns, rows, chart if rows else None)


def failures(period: Period, owner: Any) -> Table:
    found = (
        finished(period, owner)
        .filter(state=State.DEAD)
        .order_by()
        .values_list("task", "error__type")
        .annotate(number=Count("pk"))
        .order_by("-number", "task")
    )
    columns = [Column("Failure", Kind.TEXT), Column("Error", Kind.TEXT), Column("Dead", Kind.NUMBER)]
    return Table("failure", columns, [list(one) for one in found])


def facts(period: Period, owner: Any) -> list[Fact]:
    now, before = (Counter(counts(one, owner)) for one in (period, period.before))
    times = finished(period, owner).aggregate(waited=Avg(WAITED), ran=Avg(RAN))
    return [
        Fact("Jobs finished", Kind.NUMBER, now.total(), change(now.total(), before.total())),
        Fact("Died", Kind.NUMBER, now[State.DEAD], change(now[State.DEAD], before[State.DEAD])),
        Fact("Waited, average", Kind.SPAN, known(times["waited"])),
        Fact("Ran, average", Kind.SPAN, known(times["ran"])),
    ]


def counts(period: Period, owner: Any) -> dict[str, int]:
    return dict(finished(period, owner).order_by().values_list("state").annotate(number=Count("pk")))


def finished(period: Period, owner: Any) -> QuerySet[Job]:
    return period.of(Job.objects.filter(state__in=FINISHED), "finished_at", owner)


def known(span: timedelta | None) -> timedelta | None:
    return None if span is None else max(span, timedelta())
