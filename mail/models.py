"""Which mails the mail server has taken."""

from django.db import models, transaction
from django.db.models import Exists

from jobs.durability import wait_for_disk
from jobs.errors import LeaseLost
from jobs.models import Job


class Sent(models.Model):
    """The mail server has accepted this job's mail: it is not to be sent again. Kept for as long as its job."""

    job = models.OneToOneField(Job, primary_key=True, on_delete=models.CASCADE, related_name="+")
    accepted_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.job_id)

    @staticmethod
    def knows(job: Job) -> bool:
        """Whether an earlier attempt has sent it. Asked by the attempt that would: raises LeaseLost if it may not.

        A job may have waited for its turn in a bundle, or its worker been frozen: another may be at it by now.
        """
        held = Job.objects.holding_lease(job.pk, job.lease_token).order_by()
        sent = list(held.values_list(Exists(Sent.objects.filter(job=job)), flat=True))
        if not sent:
            raise LeaseLost(str(job))
        return sent[0]

    @staticmethod
    def remember(job: Job) -> None:
        """Not fenced by the lease: whoever holds the job meanwhile, the mail is on its way."""
        with transaction.atomic():
            wait_for_disk()
            Sent.objects.bulk_create([Sent(job=job)], ignore_conflicts=True)
