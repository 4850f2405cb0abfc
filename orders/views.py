"""The pages of the shop."""

import uuid

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from jobs.models import Job
from jobs.outlook import look_ahead
from orders import countries, ordering
from orders.models import Order, Product

ON_A_PAGE = 24

# Stripe's test cards. A shop that takes real money has Stripe's own form here, which gives the page such a name.
CARDS = {
    "pm_card_visa": "A card that works",
    "pm_card_chargeDeclined": "A card that is declined",
    "pm_card_chargeDeclinedInsufficientFunds": "A card without funds",
}


class OrderForm(forms.Form):
    """What one product's form sends. It names the order, so that sent twice it is one order."""

    order = forms.UUIDField()
    product = forms.ModelChoiceField(Product.objects.all())
    quantity = forms.IntegerField(min_value=1, max_value=ordering.MOST)
    country = forms.ChoiceField(choices=countries.NAMES.items, required=False)
    payment_method = forms.ChoiceField(choices=CARDS.items)


@login_required
@never_cache  # who comes back to it places another order
@require_http_methods(["GET", "POST"])
def shop(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _place(request)
    products = [(product, uuid.uuid4()) for product in Product.objects.all()]
    choices = {"cards": CARDS, "countries": countries.NAMES, "most": ordering.MOST}
    return render(request, "orders/shop.html", {"products": products, **choices})


def _place(request: HttpRequest) -> HttpResponse:
    form = OrderForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Choose a product, how many of it (up to {ordering.MOST}), a country and a card.")
        return redirect("orders:shop")
    asked = form.cleaned_data
    try:
        order = ordering.place(
            request.user,
            asked["product"],
            asked["quantity"],
            asked["payment_method"],
            country=asked["country"],
            pk=asked["order"],
        )
    except ordering.Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("orders:shop")
    return redirect(order)


@login_required
@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    page = Paginator(Order.objects.of(request.user), ON_A_PAGE).get_page(request.GET.get("page"))
    look_ahead(order.job for order in page if order.job)
    return render(request, "orders/orders.html", {"orders": page})


@login_required
@require_GET
def order(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    mine = _mine(request, order_id)
    return render(request, "orders/order.html", {"order": mine, "receipt": receipt_of(mine)})


@login_required
@require_GET
def card(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """One card of the list, for the page to put in place when the order's job has moved."""
    return render(request, "orders/card.html", {"order": _mine(request, order_id)})


def _mine(request: HttpRequest, order_id: uuid.UUID) -> Order:
    order = get_object_or_404(Order.objects.of(request.user), pk=order_id)
    look_ahead([order.job] if order.job else [])
    return order


def receipt_of(order: Order) -> Job | None:
    """The job of the mail that says the order is paid."""
    return Job.objects.filter(task="mail.send_message", key=f"receipt:{order.pk}").first() if order.paid_at else None
