"""Who receives webhooks: keeps what it is sent, and misbehaves as it is told."""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

GIGABYTE = 1024**3


class Receiver:
    """Listens at `url` while it is started.

    behaving: how it answers the next requests, one after the other, and then all others with 204. A status; or
        (status, headers); or "drop", "hang", "drip" (a byte of the body now and then), "crawl" (of the head), "flood".
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []  # headers and body of each
        self.behaving: list[Any] = []
        self.always: Any = 204
        self.flooded = 0  # bytes that somebody took
        self.answering = self.most_at_once = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver._receive(self, {name.lower(): value for name, value in self.headers.items()}, body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}/hook"

    @contextmanager
    def listening(self) -> Iterator["Receiver"]:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            self._server.server_close()

    # --- what it has got ---

    def ids(self) -> Counter[str]:
        """How often each event came."""
        return Counter(headers["webhook-id"] for headers, _ in self.requests)

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """The events of all requests, each of which must be signed with this secret."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.requests]

    # --- how it answers ---

    def _receive(self, request: Any, headers: dict[str, str], body: bytes) -> None:
        with self._lock:
            self.requests.append((headers, body))
            behaviour = self.behaving.pop(0) if self.behaving else self.always
            self.answering += 1
            self.most_at_once = max(self.most_at_once, self.answering)
        try:
            with suppress(OSError):
                self._answer(request, behaviour)
        finally:
            with self._lock:
                self.answering -= 1

    def _answer(self, request: Any, behaviour: Any) -> None:
        if behaviour == "drop":
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        elif behaviour == "hang":
            request.connection.settimeout(30)
            request.connection.recv(1)  # nothing comes until the other end hangs up
        elif behaviour == "drip":
            self._head(request, 200, {"Content-Length": "100000"})
            self._slowly(request)
        elif behaviour == "crawl":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            self._slowly(request)
        elif behaviour == "flood":
            self._head(request, 500, {"Content-Length": str(GIGABYTE)})
            for _ in range(GIGABYTE // 65536):
                request.wfile.write(b"x" * 65536)
                self.flooded += 65536
        else:
            status, headers = behaviour if isinstance(behaviour, tuple) else (behaviour, {})
            said = b"" if status == 204 else b"That is what I say."
            self._head(request, status, {"Content-Length": str(len(said)), **headers})
            request.wfile.write(said)

    def _slowly(self, request: Any) -> None:
        request.close_connection = True
        while not self._over.wait(0.1):
            request.wfile.write(b"x")
            request.wfile.flush()

    def _head(self, request: Any, status: int, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
