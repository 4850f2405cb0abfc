"""Django's SMTP backend, over a connection that is kept open for the next mail.

A connection costs more than a mail: a name looked up, TCP, TLS, a log-in. So each thread of each process keeps one for
each server, until the server hangs up or nothing was sent for a while.
"""

import os
import smtplib
import threading
import time
from typing import Any

from django.core.mail.backends import smtp
from django.core.mail.message import EmailMessage

# Seconds without a mail after which a connection is not trusted any more. Servers hang up after five minutes
# (RFC 5321, 4.5.3.2.7) and say so, but a firewall in between may forget it sooner, and say nothing.
IDLE = 60.0


class EmailBackend(smtp.EmailBackend):
    def open(self) -> bool | None:
        if self.connection is None:
            self.connection = _take(self._server)
        return super().open() if self.connection is None else True

    def close(self) -> None:
        """Keep the connection. The next mail finds out if the server has hung up meanwhile."""
        connection, self.connection = self.connection, None
        if connection is not None:
            _kept.connections[self._server] = connection, time.monotonic()

    @property
    def connection_class(self) -> Any:
        return SecureConversation if self.use_ssl else Conversation

    def _send(self, email_message: EmailMessage) -> bool:
        """Send one mail. Asked again at once, over a new connection, if the kept one turns out to be over.

        That is safe for as long as the server has not been shown the mail: it cannot have taken it.
        """
        conversation: Any = self.connection
        conversation.has_shown_mail = False
        try:
            return super()._send(email_message)  # type: ignore[misc]
        except BaseException:
            is_over = conversation.sock is None  # smtplib hangs up when the server has, or said that it will (421)
            self._hang_up()
            if conversation.is_new or conversation.has_shown_mail or not is_over:
                raise
        self.open()
        return self._send(email_message)

    def _hang_up(self) -> None:
        """Without a goodbye, for which a server in trouble would make us wait."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    @property
    def _server(self) -> tuple[Any, ...]:
        return self.host, self.port, self.username


class Conversation(smtplib.SMTP):
    """A connection that knows how far it has come."""

    is_new = True  # has not been kept yet
    has_shown_mail = False

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.has_shown_mail = True
        return super().data(msg)


class SecureConversation(Conversation, smtplib.SMTP_SSL):
    pass


class Keeper(threading.local):
    def __init__(self) -> None:
        # By server, with the moment of the last mail by time.monotonic().
        self.connections: dict[tuple[Any, ...], tuple[Any, float]] = {}


_kept = Keeper()
# A child process has another end of the same socket: two would talk to the server at once.
os.register_at_fork(after_in_child=lambda: _kept.connections.clear())


def _take(server: tuple[Any, ...]) -> Any:
    """The connection kept for this server. Whether it is still good is seen when it is used: to ask costs time, too."""
    connection, since = _kept.connections.pop(server, (None, 0.0))
    if connection is None:
        return None
    if time.monotonic() - since > IDLE:
        connection.close()
        return None
    connection.is_new = False
    return connection
