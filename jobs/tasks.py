from jobs import retention
from jobs.models import Job
from jobs.task import task


@task()
def prune(job: Job) -> int:
    pruned = 0
    for batch in retention.prune():
        pruned += batch
        job.advance(None, f"{pruned} jobs pruned")
    return pruned
