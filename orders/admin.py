"""What staff see of orders and their money, and what they may settle."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from jobs.admin import ReadOnly
from orders import settling
from orders.models import Difference, Order, OrderQuerySet, Product, Reconciliation
from orders.money import in_words


class Settled(ReadOnly):
    """What may be done to it is for those who may settle orders."""

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.settle_order")


class PaymentFilter(admin.SimpleListFilter):
    title = "payment"
    parameter_name = "payment"
    CHOSEN: dict[str, Callable[[OrderQuerySet], OrderQuerySet]] = {
        "unknown": lambda orders: orders.unknown(),
        "pending": lambda orders: orders.pending(),
        "paid": lambda orders: orders.filter(paid_at__isnull=False, refunded_at=None),
        "declined": lambda orders: orders.filter(declined_at__isnull=False),
        "refunded": lambda orders: orders.filter(refunded_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in self.CHOSEN]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        choose = self.CHOSEN.get(self.value() or "")
        return choose(queryset) if choose else queryset


@admin.register(Order)
class OrderAdmin(Settled):
    list_display = ["created_at", "id", "owner", "product", "quantity", "total", "payment", "charge_id"]
    list_display_links = ["id"]
    list_filter = [PaymentFilter]
    list_select_related = ["owner", "product", "job"]
    sortable_by = ()
    ordering = ["-created_at"]
    search_fields = ["charge_id"]  # has the admin show a field for it: see `get_search_results()`
    search_help_text = "The id of an order or of a charge, or the buyer's mail address."
    actions = ["refund", "look_at_the_gateway", "settle_as_not_paid"]

    def get_search_results(self, request: HttpRequest, orders: Any, sought: str) -> tuple[Any, bool]:
        """By whichever index there is for it. All of them at once would read every order."""
        sought = sought.strip()
        if "@" in sought:
            return orders.filter(owner__email__iexact=sought), False
        try:
            return orders.filter(pk=UUID(sought)) if sought else orders, False
        except ValueError:
            return orders.filter(charge_id=sought), False

    @admin.display(description="Amount")
    def total(self, order: Order) -> str:
        return in_words(order.amount, order.currency)

    @admin.action(description="Refund", permissions=["settle"])
    def refund(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._each(request, orders, "Refund", lambda order: settling.refund(order, request.user))

    @admin.action(description="Look at the gateway for their charge", permissions=["settle"])
    def look_at_the_gateway(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._each(request, orders, "Look at the gateway", settling.look)

    @admin.action(description="Settle as not paid", permissions=["settle"])
    def settle_as_not_paid(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._each(request, orders, "Settle as not paid", settling.not_paid)

    def _each(self, request: HttpRequest, orders: Iterable[Order], act: str, settle: Callable[[Order], str]) -> None:
        """Settle one after the other, say what came of each, and keep it in the audit log."""
        for order in orders:
            said = settle(order)
            messages.info(request, f"{order}: {said}")
            self.log_change(request, order, f"{act}: {said}")


@admin.register(Difference)
class DifferenceAdmin(Settled):
    list_display = ["kind", "reference", "details", "found_in", "settled_at"]
    list_filter = ["kind", ("settled_at", admin.EmptyFieldListFilter)]
    list_select_related = ["found_in"]
    search_fields = ["=reference"]
    actions = ["settle"]

    @admin.action(description="Settled: a person has found out why", permissions=["settle"])
    def settle(self, request: HttpRequest, differences: QuerySet[Difference]) -> None:
        for difference in differences.filter(settled_at=None):
            self.log_change(request, difference, "Settled")
        differences.filter(settled_at=None).update(settled_at=timezone.now())


@admin.register(Reconciliation)
class ReconciliationAdmin(Settled):
    list_display = ["ran_at", "since", "until", "orders", "charges", "found"]

    @admin.display(description="Differences that were new")
    def found(self, run: Reconciliation) -> int:
        return run.differences.count()


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "price", "currency"]
