"""What is asked of the sandbox and answered.

A POST may be repeated under its `Idempotency-Key`, by Stripe's rules for its API v1
(https://docs.stripe.com/api/idempotent_requests, https://docs.stripe.com/error-low-level):

- The first answer is kept once the execution has begun, whatever it is, also a 402 or a 500, and given again for at
  least 24 hours. After that the same key makes a new request.
- The same key with other parameters, or for another address, is an error.
- While the first request is being executed, others with its key are told 409.
- What was refused before the execution (429, wrong parameters, a conflict) has not used the key up.
"""

import asyncio
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import money
from sandbox.events import Announcer
from sandbox.faults import Fault, Plan
from sandbox.ledger import Answer, Ledger, new_id

logger = logging.getLogger("sandbox")

KEYS_KEPT = float(os.environ.get("SANDBOX_KEYS_KEPT_SECONDS", "86400"))
WEBHOOK_URL = os.environ.get("SANDBOX_WEBHOOK_URL") or (
    f"http://127.0.0.1:{os.environ.get('PORT') or 8000}/webhooks/payments"
)
WEBHOOK_SECRET = os.environ.get("STRIPE_WEBHOOK_SECRET") or "whsec_sandbox"
ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR") or ROOT / "data").resolve()

KINDS = {"payment_intents": "payment_intent", "charges": "charge", "refunds": "refund"}
SEARCHED = re.compile(r"""metadata\[(['"])order\1\]:(['"])(?P<order>[^'"]+)\2""")

BROKEN = money.error(500, "api_error", "An error occurred internally with Stripe.")
BUSY = money.error(429, "invalid_request_error", "Too many requests.", code="rate_limit")
IN_USE = money.error(
    409,
    "idempotency_error",
    "There is currently another in-progress request using this Idempotent Key.",
    code="idempotency_key_in_use",
)
OTHER_PARAMETERS = money.error(
    400, "idempotency_error", "Keys for idempotent requests can only be used with the same parameters as at first."
)
OTHER_ADDRESS = money.error(
    400, "idempotency_error", "Keys for idempotent requests can only be used for the same endpoint as at first."
)


class Sandbox:
    """The books, and what is to go wrong next."""

    def __init__(self) -> None:
        self.ledger = Ledger(DATA_DIR / "gateway.sqlite3", KEYS_KEPT)
        self.plan = Plan()
        self.announcer = Announcer(self.ledger, WEBHOOK_URL, WEBHOOK_SECRET)

    # --- doing ---

    async def post(self, request: Request) -> Response:
        """Execute a request, or repeat what came of it before, unless something goes wrong on purpose."""
        fault = self.plan.draw()
        if fault is Fault.BUSY:
            return answer(BUSY, {"Retry-After": "1"})
        if fault is Fault.ERROR_BEFORE:
            return answer(BROKEN)
        parameters = dict(parse_qsl((await request.body()).decode()))
        kind = money.REQUESTS[request.url.path]
        if wrong := kind.check(self.ledger, parameters):
            return answer(wrong)
        key = request.headers.get("Idempotency-Key") or new_id("key")
        if refused_or_repeated := self.claim(key, request.url.path, parameters):
            return delivered(*refused_or_repeated, fault)
        executed = await self.execute(key, kind, parameters, fault)
        return delivered(executed, {}, fault)

    def claim(self, key: str, path: str, parameters: dict[str, str]) -> tuple[Answer, dict[str, str]] | None:
        """The answer to a request whose key was used before. None: the key is now claimed for this one."""
        before = self.ledger.claim(key, path, parameters)
        if before is None:
            return None
        if before.path != path:
            return OTHER_ADDRESS, {}
        if before.parameters != parameters:
            return OTHER_PARAMETERS, {}
        if before.answer is None:
            return IN_USE, {}
        return before.answer, {"Idempotent-Replayed": "true"}

    async def execute(self, key: str, kind: money.Request, parameters: dict[str, str], fault: Fault | None) -> Answer:
        if fault is Fault.SLOW:
            await asyncio.sleep(self.plan.seconds)
        with self.ledger.transaction():
            executed = BROKEN
            if fault is not Fault.ERROR_DURING:
                times = {Fault.EVENT_LOST: 0, Fault.EVENT_TWICE: 2}.get(fault, 1) if fault else 1
                executed = kind.execute(self.ledger, parameters, fault is Fault.DECLINE, times)
            if fault is Fault.ERROR_AFTER:
                executed = BROKEN
            self.ledger.keep(key, executed)
        if fault is Fault.EVENT_FIRST:
            await self.announcer.tell()
        return executed

    # --- looking ---

    async def one(self, request: Request) -> Response:
        kind, pk = kind_of(request), request.path_params["pk"]
        found = self.ledger.find(kind, pk)
        return answer(Answer(200, found) if found else money.missing(kind, pk, "id"))

    async def many(self, request: Request) -> Response:
        """A page of objects, the latest first: https://docs.stripe.com/api/pagination."""
        asked = request.query_params
        limit = min(max(int(asked.get("limit", 10)), 1), 100)
        since = max(int(asked.get("created[gte]", 0)), int(asked.get("created[gt]", -1)) + 1)
        until = min(int(asked.get("created[lte]", sys.maxsize)), int(asked.get("created[lt]", sys.maxsize)) - 1)
        found = self.ledger.newest(kind_of(request), since, until, asked.get("starting_after"), limit + 1)
        page = {"object": "list", "url": request.url.path, "data": found[:limit], "has_more": len(found) > limit}
        return answer(Answer(200, page))

    async def search(self, request: Request) -> Response:
        """Of Stripe's query language only what finds the objects of one order."""
        query = SEARCHED.fullmatch(request.query_params.get("query", ""))
        if query is None:
            return answer(money.invalid("The sandbox only searches metadata['order']:'…'.", "query", "query_invalid"))
        found = self.ledger.of_order(kind_of(request), query["order"])
        page = {"object": "search_result", "url": request.url.path, "data": found, "has_more": False, "next_page": None}
        return answer(Answer(200, page))

    # --- for tests ---

    async def faults(self, request: Request) -> Response:
        self.plan = Plan.read(await request.json())
        return JSONResponse({})

    async def books(self, request: Request) -> Response:
        """How often each order was charged, declined and refunded, of which it only says 500, and the faults so far."""
        charges = self.ledger.newest("charge", 0, sys.maxsize, None, sys.maxsize)
        return JSONResponse(
            {
                "charged": Counter(order_of(one) for one in charges if one["status"] == "succeeded"),
                "declined": Counter(order_of(one) for one in charges if one["status"] == "failed"),
                "refunded": Counter(order_of(one) for one in charges if one["refunded"]),
                "errors": self.ledger.orders_of_errors(),
                "faults": self.plan.met,
            }
        )


def answer(given: Answer, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(given.body, given.status, {"Request-Id": new_id("req"), **(headers or {})})


def delivered(given: Answer, headers: dict[str, str], fault: Fault | None) -> Response:
    return Dropped() if fault is Fault.DROP_AFTER else answer(given, headers)


class Dropped(Response):
    """An answer that stops in the middle, upon which uvicorn closes the connection, and says so in its log."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def kind_of(request: Request) -> str:
    return KINDS[request.url.path.split("/")[2]]


def order_of(one: dict[str, Any]) -> str:
    return one["metadata"].get("order", "")


class KeyRequired:
    """Stripe's API needs a key of the account. Any that looks like one of a test account will do here."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self.app
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            given = Request(scope).headers.get("Authorization", "")
            if not given.startswith("Bearer sk_test_"):
                app = answer(money.error(401, "invalid_request_error", "Invalid API Key provided."))
        await app(scope, receive, send)


def make_application() -> KeyRequired:
    sandbox = Sandbox()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        announcing = asyncio.create_task(sandbox.announcer.run())
        yield
        announcing.cancel()
        with suppress(asyncio.CancelledError):
            await announcing

    routes = [
        *(Route(path, sandbox.post, methods=["POST"]) for path in money.REQUESTS),
        *(Route(f"/v1/{name}/search", sandbox.search) for name in KINDS),
        *(Route(f"/v1/{name}", sandbox.many) for name in KINDS),
        *(Route(f"/v1/{name}/{{pk}}", sandbox.one) for name in KINDS),
        Route("/sandbox/faults", sandbox.faults, methods=["POST"]),
        Route("/sandbox/ledger", sandbox.books),
    ]
    return KeyRequired(Starlette(routes=routes, lifespan=lifespan))
