"""Requests to addresses that strangers chose, which must not reach what only we can reach.

A name is resolved once, and what is connected to is exactly an address that was checked: a name server that answers
differently the second time is not asked a second time. Nothing is redirected and no proxy is used. All of it together,
from connecting to the last byte, is given a total time; of the answer a first piece is kept, and no more is read.

Knows nothing of jobs and webhooks.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

KEPT = 1024  # bytes of an answer
RESERVED_PORTS = 1024
LONGEST_URL = 2000

# Whatever the IANA registries of special-purpose addresses do not call globally reachable, and multicast. See
# https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and where clouds keep their secrets
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
]
# All other IPv6 addresses are not global unicast: loopback, link-local, site-local, unique local, multicast, and IPv4
# addresses in disguise (mapped, compatible, NAT64).
GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")


class BadAddress(ValueError):
    """The URL can never be used. The message says why, to who gave it."""


class Failed(Exception):
    """There was no answer. The message says why, to the owner of the address."""


class Forbidden(Failed):
    """The name leads to an address that is not public."""


class TimedOut(Failed):
    """There was no whole answer in the time given."""


@dataclass
class Answer:
    status: int
    body: bytes  # the first KEPT bytes
    retry_after: timedelta | None


def check(url: str, loopback: bool = False) -> None:
    """Raises BadAddress for a URL to which nothing may be sent, whatever its name leads to."""
    _split(url, loopback)


def post(url: str, body: bytes, headers: dict[str, str], timeout: float, loopback: bool = False) -> Answer:
    """Send this, and return the answer, whatever it says. `timeout` in seconds is for all of it but the name lookup.

    loopback: also allow plain HTTP, any port, and receivers on this machine. For development.
    Raises BadAddress or Failed.
    """
    parts = _split(url, loopback)
    addresses = resolve(str(parts.hostname), _port(parts), loopback)
    connection = _Connection(parts, addresses, time.monotonic() + timeout)
    try:
        with connection.timing():
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("POST", target, body, headers)
            answer = connection.head()
            return Answer(answer.status, connection.first_piece(answer), _retry_after(answer))
    finally:
        connection.close()


def resolve(host: str, port: int, loopback: bool = False) -> list[Any]:
    """What to connect to, as `socket.getaddrinfo()` lists it. One address that is not public forbids the name.

    Raises Failed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Failed("The name of the host could not be resolved.") from error
    for *_, address in found:
        ip = str(address[0])
        if not is_public(ip) and not (loopback and ipaddress.ip_address(ip).is_loopback):
            raise Forbidden("The host has an address that is not public, so nothing is sent to it.")
    return found


def is_public(address: str) -> bool:
    """Whether everybody on the internet may be reached under this address."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6 and ip not in GLOBAL_IPV6:
        return False
    return ip.is_global and not any(ip in network for network in NOT_PUBLIC if network.version == ip.version)


class _Connection(http.client.HTTPConnection):
    """Connects to an address that was checked, under the name for which it was. Its time runs from the beginning."""

    def __init__(self, parts: SplitResult, addresses: list[Any], deadline: float) -> None:
        super().__init__(str(parts.hostname), _port(parts))
        self._tls = parts.scheme == "https"
        self._addresses = addresses
        self._deadline = deadline
        self._expired = threading.Event()
        self._watched: socket.socket | None = None
        if self._tls:
            self.default_port = 443  # which the Host header leaves out

    @property
    def left(self) -> float:
        """Seconds."""
        return max(self._deadline - time.monotonic(), 0.001)

    def connect(self) -> None:
        self.sock = self._reach_one()
        self._watched = self.sock.dup()  # TLS is about to take the socket itself
        if self._expired.is_set():  # too early to find what to cut
            raise TimeoutError
        if self._tls:
            self.sock = _tls().wrap_socket(self.sock, server_hostname=self.host)

    def _reach_one(self) -> socket.socket:
        for number, (family, kind, protocol, _, address) in enumerate(self._addresses, start=1):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self.left)
                sock.connect(address)
                return sock
            except OSError:
                sock.close()
                if number == len(self._addresses):
                    raise
        raise Failed("The name of the host leads to no address.")

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Cuts the connection when the time is over, since a timeout of the socket begins anew with each byte.

        Raises Failed for all that goes wrong inside.
        """
        timer = threading.Timer(self.left, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise Failed(f"The certificate was not accepted: {error.verify_message}.") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error) from error
        finally:
            timer.cancel()
            if self._watched:
                self._watched.close()

    def _expire(self) -> None:
        self._expired.set()
        with suppress(OSError):
            if self._watched:
                self._watched.shutdown(socket.SHUT_RDWR)

    def _failure(self, error: Exception) -> Failed:
        if self._expired.is_set() or isinstance(error, TimeoutError):
            return TimedOut("There was no answer in time.")
        if isinstance(error, ConnectionRefusedError):
            return Failed("The connection was refused.")
        if isinstance(error, ssl.SSLError):
            return Failed("There was no secure connection.")
        if isinstance(error, ConnectionError | http.client.IncompleteRead):
            return Failed("The connection broke before there was an answer.")
        if isinstance(error, http.client.HTTPException):
            return Failed("What came back was no answer that HTTP knows.")
        return Failed("The host could not be reached.")

    def head(self) -> http.client.HTTPResponse:
        answer = self.getresponse()
        if self._expired.is_set():  # cut off in the midst of its headers, which http.client takes for their end
            raise TimeoutError
        return answer

    def first_piece(self, answer: http.client.HTTPResponse) -> bytes:
        """What of the body came in time. The status has said all that counts, so a body may be cut off."""
        piece = b""
        with suppress(OSError, http.client.HTTPException, ValueError):
            while len(piece) < KEPT and (more := answer.read1(KEPT - len(piece))):
                piece += more
        return piece


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _split(url: str, loopback: bool) -> SplitResult:
    if len(url) > LONGEST_URL or not url.isascii() or any(character <= " " for character in url):
        raise BadAddress(f"A URL has at most {LONGEST_URL} characters, all of them ASCII and no spaces.")
    try:
        parts = urlsplit(url)
        port = _port(parts)
    except ValueError as error:
        raise BadAddress("This is not a URL.") from error
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise BadAddress("The URL has to begin with https://")
    if not parts.hostname or parts.fragment:
        raise BadAddress("A URL has a host, and nothing after a #.")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("No name or password may be in the URL. The signature says who is calling.")
    if port != 443 and port < RESERVED_PORTS and not loopback:
        raise BadAddress(f"The port has to be 443, or {RESERVED_PORTS} or higher.")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80


def _retry_after(answer: http.client.HTTPResponse) -> timedelta | None:
    """RFC 9110, 10.2.3: seconds, or a date."""
    asked = (answer.getheader("Retry-After") or "").strip()
    if asked.isascii() and asked.isdigit() and len(asked) < 10:
        return timedelta(seconds=int(asked))
    try:
        moment = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC), timedelta(0))
