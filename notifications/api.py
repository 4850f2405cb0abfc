"""Webhooks over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.errors import HttpError
from pydantic import AwareDatetime

from jobs import examples, idempotency
from jobs.api import ApiRequest, JobOut, accepted, problems
from notifications import webhooks
from notifications.models import Delivery, Endpoint

RECENT = 50

router = Router(tags=["webhooks"])


class EndpointIn(Schema):
    url: str = Field(
        description="Where to POST to. It has to begin with https://",
        max_length=2000,
        examples=["https://you.example/hooks"],
    )
    events: list[str] = Field(
        list(webhooks.EVENTS),
        description="Which events to send: all of them, if not given.",
        examples=[list(webhooks.EVENTS)],
    )


class EndpointPatch(Schema):
    url: str | None = Field(None, max_length=2000, examples=["https://you.example/hooks"])
    events: list[str] | None = Field(None, examples=[["job.dead"]])
    enabled: bool | None = Field(None, description="Whether anything is sent there.", examples=[True])


class EndpointOut(Schema):
    """An endpoint, without its secret."""

    id: UUID
    url: str = Field(examples=["https://you.example/hooks"])
    events: list[str] = Field(examples=[list(webhooks.EVENTS)])
    created_at: datetime
    enabled: bool = Field(examples=[True])
    disabled_at: datetime | None = Field(examples=[None])
    disabled_because: str = Field(description="In words. Empty while it is enabled.", examples=[""])
    failing_since: datetime | None = Field(description="Since when every try has failed.", examples=[None])

    @staticmethod
    def resolve_enabled(endpoint: Endpoint) -> bool:
        return endpoint.disabled_at is None


class EndpointWithSecret(EndpointOut):
    """An endpoint with the secret that signs what is sent there. It is shown this once."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


class TryOut(Schema):
    at: datetime
    seconds: float = Field(examples=[0.12])
    status: int | None = Field(description="Of the answer. Empty: there was none.", examples=[204])
    answer: str = Field(description="Its first 1024 bytes.", examples=[""])
    problem: str = Field(description="Why there was no answer, in words.", examples=[""])


class DeliveryOut(Schema):
    """One event on its way to one endpoint."""

    id: UUID
    webhook_id: str = Field(examples=["evt_98766f2600cf424195228a65ea022bf5_3"])
    event: str = Field(examples=["job.succeeded"])
    state: str = Field(description="`waiting`, `sending`, `delivered` or `given up`.", examples=["delivered"])
    body: str = Field(
        examples=['{"type":"job.succeeded","timestamp":"2026-11-24T12:00:00+00:00","data":{"id":"98766f26…"}}']
    )
    created_at: datetime
    delivered_at: datetime | None
    next_try: datetime | None = Field(examples=[None])
    log: list[TryOut] = Field(description="The latest tries, the oldest first.")


class Range(Schema):
    since: AwareDatetime = Field(description="With its time zone.")
    until: AwareDatetime = Field(examples=["2026-11-25T12:00:00Z"])
    undelivered_only: bool = Field(True, description="Leave out what was delivered.")


def mine(request: ApiRequest, endpoint_id: UUID) -> Endpoint:
    return get_object_or_404(Endpoint, pk=endpoint_id, owner=request.auth)


@router.get("", response={200: list[EndpointOut], **problems()}, summary="Your endpoints")
def list_webhooks(request: ApiRequest) -> Any:
    return Endpoint.objects.filter(owner=request.auth)


@router.post("", response={201: EndpointWithSecret, **problems(400, 403, 413, 422)}, summary="Make an endpoint")
def create_webhook(request: ApiRequest, asked: EndpointIn) -> tuple[int, Endpoint]:
    """The answer has the secret by which the endpoint knows us. It is not shown again."""
    try:
        return 201, webhooks.create(request.auth, asked.url, asked.events)
    except webhooks.Refused as refusal:
        raise HttpError(422, str(refusal)) from refusal


@router.get("/{uuid:endpoint_id}", response={200: EndpointOut, **problems(404)}, summary="One endpoint")
def get_webhook(request: ApiRequest, endpoint_id: UUID) -> Endpoint:
    return mine(request, endpoint_id)


@router.patch(
    "/{uuid:endpoint_id}",
    response={200: EndpointOut, **problems(400, 403, 404, 413, 422)},
    summary="Change an endpoint",
)
def change_webhook(request: ApiRequest, endpoint_id: UUID, asked: EndpointPatch) -> Endpoint:
    """What is not given stays as it is."""
    endpoint = mine(request, endpoint_id)
    try:
        webhooks.change(
            endpoint,
            endpoint.url if asked.url is None else asked.url,
            endpoint.events if asked.events is None else asked.events,
        )
    except webhooks.Refused as refusal:
        raise HttpError(422, str(refusal)) from refusal
    if asked.enabled is not None:
        (webhooks.enable if asked.enabled else webhooks.disable)(endpoint)
    endpoint.refresh_from_db()
    return endpoint


@router.delete("/{uuid:endpoint_id}", response={204: None, **problems(403, 404)}, summary="Delete an endpoint")
def delete_webhook(request: ApiRequest, endpoint_id: UUID) -> tuple[int, None]:
    """Its deliveries go too."""
    mine(request, endpoint_id).delete()
    return 204, None


@router.post(
    "/{uuid:endpoint_id}/secret",
    response={200: EndpointWithSecret, **problems(403, 404)},
    summary="Change the secret of an endpoint",
)
def rotate_webhook_secret(request: ApiRequest, endpoint_id: UUID) -> Endpoint:
    """For 24 hours everything is signed with the old secret, too."""
    endpoint = mine(request, endpoint_id)
    webhooks.rotate(endpoint)
    return endpoint


@router.post(
    "/{uuid:endpoint_id}/test", response={201: DeliveryOut, **problems(403, 404, 409)}, summary="Send a test event"
)
def test_webhook(request: ApiRequest, endpoint_id: UUID) -> tuple[int, Delivery]:
    """Its type is `endpoint.test`. Answers 409 while the endpoint is disabled."""
    return 201, webhooks.test(_enabled(mine(request, endpoint_id)))


@router.get(
    "/{uuid:endpoint_id}/deliveries",
    response={200: list[DeliveryOut], **problems(404)},
    summary="What was sent to an endpoint lately",
)
def list_deliveries(request: ApiRequest, endpoint_id: UUID) -> Any:
    """The latest fifty, newest first."""
    return mine(request, endpoint_id).deliveries.select_related("job")[:RECENT]


@router.post(
    "/{uuid:endpoint_id}/deliveries/{uuid:delivery_id}/replay",
    response={200: DeliveryOut, **problems(403, 404, 409)},
    summary="Send a delivery again",
)
def replay_delivery(request: ApiRequest, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    """At once, under the same `webhook-id`. Answers 409 while it is being sent, or the endpoint is disabled."""
    deliveries = _enabled(mine(request, endpoint_id)).deliveries.select_related("job")
    if not webhooks.replay(get_object_or_404(deliveries, pk=delivery_id)):
        raise HttpError(409, "It is being sent just now.")
    return deliveries.get(pk=delivery_id)


@router.post(
    "/{uuid:endpoint_id}/replay",
    response={202: JobOut, **problems(400, 403, 404, 409, 413, 422)},
    summary="Send again what happened in a time",
    openapi_extra={
        **idempotency.DOCUMENTED,
        **examples.answering(202, examples.job("notifications.replay_deliveries", {})),
    },
)
@idempotency.idempotent
def replay_webhook(request: ApiRequest, endpoint_id: UUID, asked: Range) -> HttpResponse:
    """Answers with the job that does it. Deliveries are kept for 30 days."""
    endpoint = _enabled(mine(request, endpoint_id))
    try:
        return accepted(webhooks.replay_range(endpoint, asked.since, asked.until, asked.undelivered_only))
    except webhooks.Refused as refusal:
        raise HttpError(422, str(refusal)) from refusal


def _enabled(endpoint: Endpoint) -> Endpoint:
    if endpoint.disabled_at:
        raise HttpError(409, "The endpoint is disabled. Enable it first.")
    return endpoint
