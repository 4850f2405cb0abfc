"""Announces to the webhook of the site what has happened: at least once, sometimes twice, in no certain order.

Signed as Stripe signs: https://docs.stripe.com/webhooks/signature says how to verify it by hand.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from urllib.request import ProxyHandler, Request, build_opener

from sandbox.ledger import Event, Ledger

logger = logging.getLogger("sandbox")

POLL = 0.1  # seconds
PATIENCE = 5.0  # seconds that the webhook may take
OPENER = build_opener(ProxyHandler({}))  # the site is near
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds until the next try


class Announcer:
    def __init__(self, ledger: Ledger, url: str, secret: str) -> None:
        self._ledger = ledger
        self._url = url
        self._secret = secret
        self._telling = asyncio.Lock()  # two at a time would tell each event twice

    async def run(self) -> None:
        """Tell what is due, for as long as the sandbox lives."""
        while True:
            try:
                await self.tell()
            except Exception:
                logger.exception("Could not announce")
            await asyncio.sleep(POLL)

    async def tell(self) -> None:
        async with self._telling:
            for event in self._ledger.due_events():
                if await asyncio.to_thread(self._post, event.body.encode()):
                    self._ledger.was_heard(event)
                else:
                    self._ledger.was_missed(event, pause_after(event))

    def _post(self, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature(body, self._secret)}
        try:
            with OPENER.open(Request(self._url, body, headers), timeout=PATIENCE) as answer:  # noqa: S310
                return 200 <= answer.status < 300
        except OSError:
            return False


def pause_after(event: Event) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(event.tries, 10))


def signature(body: bytes, secret: str) -> str:
    now = str(int(time.time()))
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={digest}"
