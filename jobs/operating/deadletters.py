"""The dead-letter queue: dead jobs by what they died of, so that a thousand of them are three problems."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, OuterRef, Subquery

from jobs.models import Job, State
from jobs.operating.filters import Filters
from jobs.operating.listing import LastError

SHOWN = 100


@dataclass(frozen=True)
class Problem:
    """Deaths of one kind."""

    fingerprint: str
    number: int
    first_at: datetime
    last_at: datetime
    sample: Job  # the latest of them, with its `last_error`


def problems(filters: Filters) -> list[Problem]:
    """The kinds of deaths among the jobs that match, those with most jobs first."""
    dead = filters.jobs().filter(state=State.DEAD)
    same = Job.objects.filter(state=State.DEAD, fingerprint=OuterRef("fingerprint")).order_by("-finished_at")
    kinds = list(
        dead.order_by()
        .values("fingerprint")
        .annotate(number=Count("finished_at"), first_at=Min("finished_at"), last_at=Max("finished_at"))
        .order_by("-number", "-last_at")
        .annotate(sample=Subquery(same.values("pk")[:1]))[:SHOWN]
    )
    jobs = Job.objects.defer("errors", "result").annotate(last_error=LastError("errors"))
    samples: dict[Any, Job] = {**jobs.in_bulk([kind["sample"] for kind in kinds])}
    return [
        Problem(kind["fingerprint"], kind["number"], kind["first_at"], kind["last_at"], samples[kind["sample"]])
        for kind in kinds
        if kind["sample"] in samples
    ]
