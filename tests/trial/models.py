from django.db import models


class Entry(models.Model):
    """The ledger: one row for each effect of a job, so that what happened twice can be counted."""

    number = models.IntegerField()
    attempt = models.IntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
