"""A mail server that keeps what it takes, counts it, and misbehaves as it is told."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

from aiosmtpd.controller import Controller

from tests.stack import free_port

logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's

# Where it can be held: asked for a recipient; has all of the mail and has not taken it; has taken it and has not said
# so.
Step = Literal["recipient", "content", "answer"]


class Hold:
    """Stops the server at a step, for whom it is held for, until `let_go()`."""

    def __init__(self, step: Step, to: str | None) -> None:
        self.step = step
        self.to = to
        self.reached = threading.Event()
        self._over = threading.Event()

    def let_go(self) -> None:
        self._over.set()

    async def stop(self) -> None:
        self.reached.set()
        while not self._over.is_set():
            await asyncio.sleep(0.01)


class MailServer:
    """Listens at `url` from `start()` to `stop()`, and again after the next `start()`.

    refusing: what it answers to a recipient, by address: "550 No such mailbox".
    answering: what it answers to a mail it has received, and does not take: "451 Try again".
    """

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []  # with the recipient of each
        self.peers: list[Any] = []  # from which end of which connection each came
        self.refusing: dict[str, str] = {}
        self.answering = ""
        self.port = free_port()
        self.url = f"smtp://127.0.0.1:{self.port}"
        self._holds: list[Hold] = []
        self._hangs_up_at: Step | None = None
        self._hang_ups = 0
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller:
            self._controller.stop()
            self._controller = None

    @contextmanager
    def held(self, step: Step, to: str | None = None) -> Iterator[Hold]:
        """Hold it at a step, of mails to this address or to anybody, at most until the end of the block."""
        hold = Hold(step, to)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            self._holds.remove(hold)
            hold.let_go()

    @contextmanager
    def hanging_up(self, step: Step, times: int = 1_000_000) -> Iterator[None]:
        """Have it break the connection at this step, so many times."""
        self._hangs_up_at, self._hang_ups = step, times
        try:
            yield
        finally:
            self._hangs_up_at = None

    # --- what it has taken ---

    def to(self, address: str) -> list[EmailMessage]:
        return [message for to, message in self.mails if to == address]

    # --- what aiosmtpd calls ---

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        await self._arrive("recipient", server, address)
        if address in self.refusing:
            return self.refusing[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        [to] = envelope.rcpt_tos
        await self._arrive("content", server, to)
        if self.answering:
            return self.answering
        self.mails.append((to, message_from_bytes(envelope.content, policy=policy.default)))
        self.peers.append(session.peer)
        await self._arrive("answer", server, to)
        return "250 OK"

    async def _arrive(self, step: Step, server: Any, to: str | None) -> None:
        for hold in [hold for hold in self._holds if hold.step == step and hold.to in (None, to)]:
            await hold.stop()
        if self._hangs_up_at == step and self._hang_ups:
            self._hang_ups -= 1
            server.transport.abort()
            await asyncio.sleep(60)  # aiosmtpd cancels this when it notices
