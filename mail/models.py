"""Which mails the mail server has taken."""

from django.db import models, transaction

from jobs.durability import wait_for_disk
from jobs.models import Job


class Sent(models.Model):
    """The mail server has accepted this job's mail: it is not to be sent again. Kept for as long as its job."""

    job = models.OneToOneField(Job, primary_key=True, on_delete=models.CASCADE, related_name="+")
    accepted_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.job_id)

    @staticmethod
    def remember(job: Job) -> None:
        """Not fenced by the lease: whoever holds the job meanwhile, the mail is on its way."""
        with transaction.atomic():
            wait_for_disk()
            Sent.objects.bulk_create([Sent(job=job)], ignore_conflicts=True)
