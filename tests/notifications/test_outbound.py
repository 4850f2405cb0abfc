"""Nothing is sent to an address that is not public, and nobody holds us for longer than we let them."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme

from notifications import outbound
from tests.notifications.receiver import Receiver

FORBIDDEN = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1
    203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::8.8.8.8 64:ff9b:1::1
    100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 4000::1
    5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 febf::1 fec0::1 feff::1 ff02::1 ff0e::1
"""
PUBLIC = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 2606:4700::1111 2a00:1450:4001::200e"

# Ways to write 127.0.0.1, or what leads there.
DISGUISES = "127.1 2130706433 0x7f000001 0177.0.0.1 0 localhost localhost. [::1] [::ffff:7f00:1]"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


def post(url: str, timeout: float = 5, loopback: bool = True) -> outbound.Answer:
    return outbound.post(url, b"{}", {"Content-Type": "application/json"}, timeout, loopback)


# --- where it may go ---


@pytest.mark.parametrize("address", FORBIDDEN.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not outbound.is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_addresses_that_are(address: str) -> None:
    assert outbound.is_public(address)


@pytest.mark.parametrize("host", DISGUISES.split())
def test_no_way_of_writing_it_leads_to_this_machine(receiver: Receiver, host: str) -> None:
    with pytest.raises(outbound.Failed):
        post(f"https://{host}:{receiver.port}/hook", loopback=False)
    assert not receiver.requests


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "0.0.0.0", "[fe80::1]", "[fd00::1]", "192.168.1.1"])
def test_in_development_this_machine_may_be_reached_and_nothing_else(address: str) -> None:
    with pytest.raises(outbound.Forbidden):
        post(f"http://{address}:9/")


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: list[str]) -> list[str]:
    """Have the resolver answer with the first of these, then with the next. Returns whom it was asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        found = addresses[min(len(asked), len(addresses) - 1)]
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in found]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return asked


def test_a_name_that_leads_elsewhere_the_second_time_is_asked_only_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    assert post(f"http://hooks.example:{receiver.port}/hook").status == 204
    assert asked == ["hooks.example"]

    asked = answers(monkeypatch, ["198.51.100.1"], ["127.0.0.1"])
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "198.51.100.1")
    with pytest.raises(outbound.Failed):
        post(f"https://hooks.example:{receiver.port}/hook", timeout=0.3, loopback=False)
    assert asked == ["hooks.example"] and len(receiver.requests) == 1


def test_one_forbidden_address_of_a_name_forbids_it(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(outbound.Forbidden):
        post(f"https://hooks.example:{receiver.port}/hook", loopback=False)
    assert not receiver.requests


def test_the_next_address_is_tried_if_one_does_not_answer(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    assert post(f"http://hooks.example:{receiver.port}/hook").status == 204
    assert receiver.requests[0][0]["host"] == f"hooks.example:{receiver.port}"


def test_redirects_are_not_followed_and_no_proxy_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    receiver.behaving = [(307, {"Location": receiver.url}), (302, {"Location": "http://169.254.169.254/"})]
    assert [post(receiver.url).status, post(receiver.url).status] == [307, 302]
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "//example.com/",
        "https://",
        "https:///path",
        "https://user:secret@example.com/",
        "https://example.com/#part",
        "https://example.com:22/",
        "https://example.com:99999/",
        "https://exämple.com/",
        "https://example.com/\r\nHost: evil",
        "https://example.com/ HTTP/1.1",
        "https://[::1/",
        f"https://example.com/{'x' * 2000}",
    ],
)
def test_urls_that_are_refused_as_they_stand(url: str) -> None:
    with pytest.raises(outbound.BadAddress):
        outbound.check(url)


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com:443/a?b=c", "https://example.com:8443/"])
def test_urls_that_are_taken(url: str) -> None:
    outbound.check(url)


# --- whom it believes ---


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Which we trust."""
    made = trustme.CA()
    context = ssl.create_default_context()
    made.configure_trust(context)
    monkeypatch.setattr(outbound, "_tls", lambda: context)
    return made


@pytest.mark.parametrize(("name", "taken"), [("hooks.example", True), ("other.example", False), ("127.0.0.1", False)])
def test_the_certificate_has_to_be_of_the_name_not_of_the_address(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, name: str, taken: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with Receiver(tls=context).listening() as receiver:
        answers(monkeypatch, ["127.0.0.1"])
        url = f"https://hooks.example:{receiver.port}/hook"
        if taken:
            assert post(url).status == 204
        else:
            with pytest.raises(outbound.Failed, match="certificate was not accepted"):
                post(url)
            assert not receiver.requests


def test_a_certificate_of_an_unknown_authority_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with Receiver(tls=context).listening() as receiver:
        with pytest.raises(outbound.Failed, match="certificate was not accepted"):
            post(receiver.url.replace("127.0.0.1", "localhost"))
        assert not receiver.requests


# --- how long it takes, and how much ---


@pytest.mark.parametrize("behaviour", ["hang", "crawl"])
def test_no_answer_in_time(receiver: Receiver, behaviour: str) -> None:
    receiver.behaving = [behaviour]
    began = time.monotonic()
    with pytest.raises(outbound.TimedOut):
        post(receiver.url, timeout=0.6)
    assert 0.5 < time.monotonic() - began < 1.5


def test_an_answer_that_drips_is_cut_off(receiver: Receiver) -> None:
    receiver.behaving = ["drip"]
    began = time.monotonic()
    answer = post(receiver.url, timeout=0.6)
    assert time.monotonic() - began < 1.5
    assert answer.status == 200 and 0 < len(answer.body) < 20


def test_of_a_gigabyte_only_the_beginning_is_read(receiver: Receiver) -> None:
    receiver.behaving = ["flood"]
    began = time.monotonic()
    answer = post(receiver.url)
    assert time.monotonic() - began < 1
    assert answer.body == b"x" * outbound.KEPT
    assert receiver.flooded < 32 * 1024**2, "what fits into the buffers of the sockets"


def test_a_connection_that_is_dropped_or_refused(receiver: Receiver) -> None:
    receiver.behaving = ["drop"]
    with pytest.raises(outbound.Failed, match="broke"):
        post(receiver.url)
    with pytest.raises(outbound.Failed, match="refused"):
        post("http://127.0.0.1:1/")


def test_when_to_come_again_is_understood_in_both_forms(receiver: Receiver) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    asked = ["120", date, "soon", "-1", "9" * 50]
    receiver.behaving = [(429, {"Retry-After": value}) for value in asked]
    seconds, until, *nonsense = [post(receiver.url).retry_after for _ in asked]
    assert seconds == timedelta(minutes=2)
    assert timedelta(seconds=110) < until <= timedelta(minutes=2)
    assert nonsense == [None, None, None]
