"""The shop over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.errors import HttpError

from jobs import examples, idempotency, paging
from jobs.api import ApiRequest, JobOut, accepted, problems
from orders import ordering
from orders.models import Order, Payment, Product

products = Router(tags=["orders"])
orders = Router(tags=["orders"])

CHARGING = {"order": f"/api/orders/{examples.ABOUT}", "page": f"/orders/{examples.ABOUT}"}  # of the examples


class ProductOut(Schema):
    id: int = Field(examples=[1])
    name: str = Field(examples=["Night lamp"])
    about: str = Field(examples=["Glows."])
    price: int = Field(description="In minor units, such as cents.", examples=[1200])
    currency: str = Field(description="ISO 4217, in small letters.", examples=["eur"])


class OrderIn(Schema):
    product: int = Field(description="The id of a product.", examples=[1])
    quantity: int = Field(1, ge=1, le=ordering.MOST)
    country: str = Field(
        "", description="Where it goes, by ISO 3166: one of the European Union. Empty: not said.", examples=["DE"]
    )
    payment_method: str = Field(
        pattern=r"^pm_\w{1,200}$",
        description="What the gateway calls the card. Of a test account for example `pm_card_visa`.",
        examples=["pm_card_visa"],
    )


class OrderOut(Schema):
    """An order. What became of its payment is said apart from its job: the gateway may tell us by other ways too."""

    id: UUID = Field(examples=[examples.ABOUT])
    product: str = Field(examples=["Night lamp"])
    quantity: int = Field(examples=[1])
    amount: int = Field(description="In minor units, such as cents.", examples=[1200])
    currency: str = Field(examples=["eur"])
    country: str = Field(description="Where it goes, by ISO 3166. Empty if it was not said.", examples=["DE"])
    payment: Payment = Field(examples=["paid"])
    decline_reason: str = Field(description="What the bank says. Empty unless it is declined.", examples=[""])
    created_at: datetime
    paid_at: datetime | None
    refunded_at: datetime | None = Field(examples=[None])
    job: JobOut | None = Field(examples=[examples.job("orders.charge_order", CHARGING, **examples.SUCCEEDED)])

    @staticmethod
    def resolve_product(order: Order) -> str:
        return order.product.name


@products.get("", response={200: list[ProductOut], **problems()}, summary="What can be ordered")
def list_products(request: ApiRequest) -> Any:
    return Product.objects.all()


@orders.post(
    "",
    response={202: JobOut, **problems(400, 403, 409, 413, 422)},
    summary="Order something",
    openapi_extra={
        **idempotency.DOCUMENTED,
        **examples.answering(202, examples.job("orders.charge_order", CHARGING)),
    },
)
@idempotency.idempotent
def place_order(request: ApiRequest, asked: OrderIn) -> HttpResponse:
    """Answers at once, with the job that charges the card. Its link `order` leads to the order.

    Send an `Idempotency-Key` to be able to send the request again.
    """
    product = Product.objects.filter(pk=asked.product).first()
    if product is None:
        raise HttpError(422, "There is no such product.")
    try:
        order = ordering.place(request.auth, product, asked.quantity, asked.payment_method, country=asked.country)
    except ordering.Refused as refusal:
        raise HttpError(422, str(refusal)) from refusal
    assert order.job
    return accepted(order.job)


@orders.get(
    "",
    response={200: list[OrderOut], **problems(422)},
    summary="Your orders",
    openapi_extra=paging.DOCUMENTED,
)
def list_orders(
    request: ApiRequest, response: HttpResponse, limit: int = paging.LIMIT, after: str = paging.AFTER
) -> list[Order]:
    """Newest first, a page at a time. The header `Link` leads to the next page."""
    return paging.listed(request, response, Order.objects.of(request.auth), after, limit)


@orders.get("/{uuid:order_id}", response={200: OrderOut, **problems(404)}, summary="One order")
def get_order(request: ApiRequest, order_id: UUID) -> Order:
    return get_object_or_404(Order.objects.of(request.auth), pk=order_id)
