"""Orders and what is known of their money. Amounts are in minor units, such as cents, as gateways count."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from jobs.models import FINISHED, UNFINISHED, Job

LARGEST_AMOUNT = 99_999_999  # Stripe takes eight digits


class Product(models.Model):
    name = models.CharField(max_length=100, unique=True)
    about = models.CharField(max_length=200, blank=True, help_text="One sentence for the shop.")
    price = models.PositiveIntegerField(help_text="Of one, in minor units.")
    currency = models.CharField(max_length=3, default="eur", help_text="ISO 4217, in small letters.")

    class Meta:
        ordering = ["price", "pk"]

    def __str__(self) -> str:
        return self.name


class Payment(models.TextChoices):
    """Where the money of an order stands."""

    PENDING = "pending"
    PAID = "paid"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


class OrderQuerySet(models.QuerySet["Order"]):
    def of(self, owner: object) -> Self:
        """The orders of `owner`, with all that showing them takes."""
        return self.filter(owner=owner).select_related("job", "product")

    def unsettled(self) -> Self:
        return self.filter(paid_at=None, declined_at=None)

    def pending(self) -> Self:
        return self.unsettled().filter(unknown_since=None, job__state__in=UNFINISHED)

    def unknown(self) -> Self:
        """Those that wait for a person: it is too late to ask again, or their job was stopped after it had asked."""
        stopped = Q(job=None) | Q(job__state__in=FINISHED)
        return self.unsettled().filter(Q(unknown_since__isnull=False) | Q(stopped, asked_at__isnull=False))


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="orders", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    quantity = models.PositiveIntegerField()
    amount = models.PositiveIntegerField(help_text="To be paid, in minor units. Later prices do not change it.")
    currency = models.CharField(max_length=3)
    country = models.CharField(max_length=2, blank=True, help_text="Of the buyer, ISO 3166.")
    payment_method = models.CharField(max_length=255, help_text="The gateway's name for the card.")
    job = models.OneToOneField(
        Job, null=True, on_delete=models.SET_NULL, related_name="order", help_text="The job that charges it."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # What is known of its money. Each is written once, by `orders.outcomes`.
    asked_at = models.DateTimeField(null=True, help_text="When the gateway was first asked to charge it.")
    charge_id = models.CharField(max_length=255, null=True, help_text="The gateway's name for the charge.")
    paid_at = models.DateTimeField(null=True)
    declined_at = models.DateTimeField(null=True)
    decline_reason = models.CharField(max_length=500, blank=True, help_text="As its owner is told.")
    unknown_since = models.DateTimeField(
        null=True, help_text="When it became too late to ask the gateway again. A person finds out."
    )
    refunded_at = models.DateTimeField(null=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["charge_id"], name="order_charge_once"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, amount__lte=LARGEST_AMOUNT, quantity__gt=0), name="order_costs_something"
            ),
            models.CheckConstraint(
                condition=Q(paid_at=None, charge_id=None) | Q(paid_at__isnull=False, charge_id__isnull=False),
                name="order_paid_by_a_charge",
            ),
            models.CheckConstraint(condition=Q(paid_at=None) | Q(declined_at=None), name="order_paid_or_declined"),
            models.CheckConstraint(
                condition=Q(refunded_at=None) | Q(paid_at__isnull=False), name="order_refunded_paid"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="order_newest"),
            models.Index(fields=["owner", "-created_at"], name="order_by_owner"),
            models.Index(fields=["paid_at"], name="order_paid", condition=Q(paid_at__isnull=False)),
            models.Index(fields=["created_at"], name="order_unsettled", condition=Q(paid_at=None, declined_at=None)),
        ]
        permissions = [("settle_order", "Can refund orders, and settle those whose payment is unknown")]

    def __str__(self) -> str:
        return str(self.pk)

    def get_absolute_url(self) -> str:
        return reverse("orders:order", args=[self.pk])

    @property
    def payment(self) -> Payment:
        """From the facts and the job: it is kept nowhere."""
        if self.refunded_at:
            return Payment.REFUNDED
        if self.paid_at:
            return Payment.PAID
        if self.declined_at:
            return Payment.DECLINED
        if self.unknown_since:
            return Payment.UNKNOWN
        if self.job is None or self.job.finished:  # stopped on the way
            return Payment.UNKNOWN if self.asked_at else Payment.CANCELLED
        return Payment.PENDING


class PaymentEvent(models.Model):
    """An event that the gateway's webhook has told us: told again, it is not acted upon again."""

    id = models.CharField(max_length=255, primary_key=True)
    type = models.CharField(max_length=100)
    received_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class Reconciliation(models.Model):
    """One comparison of our orders with the gateway's charges."""

    since = models.DateTimeField()
    until = models.DateTimeField()
    orders = models.PositiveIntegerField(default=0, help_text="Paid ones that were compared.")
    charges = models.PositiveIntegerField(default=0)
    ran_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-ran_at"]

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"


class Difference(models.Model):
    """Something on which our orders and the gateway's charges do not agree. A person finds out why."""

    class Kind(models.TextChoices):
        NOT_CHARGED = "not_charged", "Paid here, not charged there"
        NOT_PAID = "not_paid", "Charged there, not paid here"
        CHARGED_TWICE = "charged_twice", "Charged more than once"
        AMOUNT = "amount", "Another amount there"
        REFUND = "refund", "Refunded on one side only"
        UNKNOWN = "unknown", "Charged or not: nobody knows"

    kind = models.CharField(max_length=20, choices=Kind)
    reference = models.CharField(max_length=255, help_text="The order, or the charge if it belongs to none.")
    order = models.ForeignKey(Order, null=True, on_delete=models.CASCADE, related_name="differences")
    details = models.CharField(max_length=500)
    found_in = models.ForeignKey(Reconciliation, on_delete=models.PROTECT, related_name="differences")
    settled_at = models.DateTimeField(null=True, help_text="When a person had found out.")

    class Meta:
        ordering = ["-found_in", "kind"]
        constraints = [models.UniqueConstraint(fields=["kind", "reference"], name="difference_told_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.reference}"
