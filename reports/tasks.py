from datetime import timedelta

from files.storing import storing
from jobs.models import Job
from jobs.task import task
from jobs.workspace import workspace
from reports import expiring, making, nightly
from reports.making import NotAllowed
from reports.models import FOLDER, Report


def about(report_id: str) -> dict[str, str]:
    return {"report": f"/api/reports/{report_id}", "page": f"/reports/{report_id}"}


@task(queue="reports", max_attempts=3, time_limit=timedelta(hours=1), permanent=NotAllowed, links=about)
def make_report(job: Job, report_id: str) -> None:
    report = Report.objects.select_related("owner").get(pk=report_id)
    with workspace(job) as folder:
        made = making.make(report, folder, on_progress=job.advance)
        size = made.stat().st_size
        with storing(f"{FOLDER}/{job.lease_token}") as store:
            file = store(made)
            with job.finishing({"report": report_id}):
                report.publish(file, size)


@task(queue="reports", time_limit=timedelta(hours=1))
def report_sales_of_the_night(job: Job, slot: str) -> None:
    """The sales of the day before the slot. Whatever is run again, each day is reported once."""
    day = nightly.day_before(slot)
    if nightly.is_reported(day):
        return
    with workspace(job) as folder:
        figures, made = nightly.make(day, job, folder)
        reports, sizes = [report for report, _ in made], [path.stat().st_size for _, path in made]
        with storing(f"{FOLDER}/{job.lease_token}") as store:
            files = [store(path) for _, path in made]
            with job.finishing({"day": day.isoformat()}):
                nightly.publish(figures, reports, files, sizes)


@task(time_limit=timedelta(minutes=30))
def remove_expired(job: Job) -> int:
    return expiring.remove_expired()
