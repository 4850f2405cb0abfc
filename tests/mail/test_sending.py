"""A mail is composed, and a mail server says yes, no, or not now."""

import os
import smtplib
from collections.abc import Iterator

import pytest
from django.conf import settings

from mail import sending, smtp
from tests.client import new_email
from tests.smtp import MailServer

HELLO = "accounts/messages/welcome"


@pytest.fixture(autouse=True)
def by_smtp(settings, mail_server: MailServer) -> Iterator[None]:
    settings.EMAIL_BACKEND = "mail.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", mail_server.port, 1
    settings.SITE_URL = "https://night.example"
    yield
    while smtp._kept.connections:
        smtp._kept.connections.popitem()[1][0].close()


@pytest.fixture
def ann() -> str:
    return new_email()


def send(to: str) -> list[str]:
    """What is said to be accepted, while sending."""
    accepted: list[str] = []
    message = sending.compose(HELLO, to, {"email": to}, message_id="job-1")
    sending.send(message, on_accepted=lambda: accepted.append(to))
    return accepted


def test_a_mail_has_text_and_html_and_the_message_id_of_its_job(mail_server: MailServer, ann: str) -> None:
    assert send(ann) == [ann]
    [mail] = mail_server.to(ann)
    assert mail["subject"] == "Welcome to Nightshift"
    assert mail["message-id"] == "<job-1@night.example>"
    assert mail["auto-submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        body = mail.get_body(preferencelist=[kind]).get_content()
        assert ann in body
        assert "https://night.example/account" in body


def test_words_of_people_are_escaped_in_html_and_left_alone_in_text(ann: str) -> None:
    mail = sending.compose(HELLO, ann, {"email": "<b>Ann & Bob</b>"}, message_id="job-1")
    [(html, _)] = mail.alternatives
    assert "&lt;b&gt;Ann &amp; Bob&lt;/b&gt;" in html
    assert "<b>Ann & Bob</b>" in mail.body


def test_the_subject_is_one_line_whatever_is_put_into_it(tmp_path, settings) -> None:
    for name, words in {"x.subject.txt": "Order for {{ name }}\n", "x.txt": "", "x.html": ""}.items():
        (tmp_path / name).write_text(words)
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]} for engine in settings.TEMPLATES]
    mail = sending.compose("x", "ann@example.com", {"name": "Ann\r\nBcc: all@example.com"}, message_id="job-1")
    assert mail.subject == "Order for Ann Bcc: all@example.com"


def test_a_recipient_refused_for_good_is_told_to_the_owner(mail_server: MailServer, ann: str) -> None:
    mail_server.refusing[ann] = "550 5.1.1 No such mailbox"
    with pytest.raises(sending.Refused, match=rf"does not deliver to {ann} \(code 550\). Check the address."):
        send(ann)


def test_a_mail_refused_for_good_is_told_to_the_owner(mail_server: MailServer, ann: str, monkeypatch) -> None:
    monkeypatch.setattr(mail_server, "answering", "554 5.7.1 Looks like spam")
    with pytest.raises(sending.Refused, match=r"refused this mail \(code 554\)"):
        send(ann)


def test_not_now_is_no_refusal(mail_server: MailServer, ann: str, monkeypatch) -> None:
    mail_server.refusing[ann] = "450 4.2.0 Greylisted"
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(ann)
    del mail_server.refusing[ann]
    monkeypatch.setattr(mail_server, "answering", "451 4.3.0 Try again")
    with pytest.raises(smtplib.SMTPDataError):
        send(ann)
    assert not mail_server.to(ann)


def test_what_is_wrong_with_us_waits_for_operators(settings, ann: str) -> None:
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = "wrong"
    with pytest.raises(smtplib.SMTPException):
        send(ann)


def test_a_server_that_is_not_there_or_hangs_up_is_asked_again(mail_server: MailServer, ann: str) -> None:
    with mail_server.hanging_up("content"), pytest.raises(smtplib.SMTPServerDisconnected):
        send(ann)
    mail_server.stop()
    try:
        with pytest.raises(ConnectionRefusedError):
            send(ann)
    finally:
        mail_server.start()
    assert not mail_server.to(ann)


def test_a_server_that_does_not_answer_is_asked_again(mail_server: MailServer, ann: str) -> None:
    with mail_server.held("recipient"), pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        send(ann)


# --- the connection is kept ---


def connections(mail_server: MailServer) -> list[str]:
    """Over which connection each mail came, by letters."""
    seen = dict.fromkeys(mail_server.peers)
    return [chr(ord("a") + list(seen).index(peer)) for peer in mail_server.peers]


@pytest.fixture
def server(mail_server: MailServer) -> MailServer:
    """The server, which has forgotten from where the mails of other tests came."""
    mail_server.peers.clear()
    return mail_server


def test_mails_share_a_connection(server: MailServer, ann: str) -> None:
    for _ in range(3):
        assert send(ann) == [ann]
    assert connections(server) == ["a", "a", "a"]


def test_a_refusal_costs_no_other_mail(server: MailServer, ann: str) -> None:
    bob = new_email()
    server.refusing[bob] = "550 5.1.1 No such mailbox"
    assert send(ann) == [ann]
    with pytest.raises(sending.Refused):
        send(bob)
    assert send(ann) == [ann]
    assert len(server.to(ann)) == 2


def test_an_idle_connection_is_not_used_any_more(server: MailServer, ann: str, monkeypatch) -> None:
    send(ann)
    monkeypatch.setattr("mail.smtp.IDLE", -1.0)
    send(ann)
    assert connections(server) == ["a", "b"]


def test_a_server_that_was_restarted_is_called_anew(server: MailServer, ann: str) -> None:
    send(ann)
    server.stop()
    server.start()
    assert send(ann) == [ann]
    assert len(server.to(ann)) == 2


def test_a_kept_connection_that_breaks_before_the_mail_is_shown_is_replaced_at_once(
    server: MailServer, ann: str
) -> None:
    send(ann)
    with server.hanging_up("recipient", times=1):
        assert send(ann) == [ann]
    assert connections(server) == ["a", "b"]
    with server.hanging_up("recipient", times=2), pytest.raises(smtplib.SMTPServerDisconnected):
        send(ann)
    with server.hanging_up("recipient", times=1), pytest.raises(smtplib.SMTPServerDisconnected):
        send(ann)  # over a new connection, so it is the server that is in trouble
    assert len(server.to(ann)) == 2


def test_a_server_that_has_had_enough_of_a_connection_gets_another(server: MailServer, ann: str, monkeypatch) -> None:
    class Once(dict):
        __getitem__ = dict.pop

    send(ann)
    monkeypatch.setattr(server, "refusing", Once({ann: "421 4.7.0 Too many mails over this connection"}))
    assert send(ann) == [ann]
    assert connections(server) == ["a", "b"]


@pytest.mark.parametrize(("step", "taken"), [("content", 1), ("answer", 2)])
def test_a_mail_that_may_have_been_taken_is_not_sent_again_at_once(
    server: MailServer, ann: str, step: str, taken: int
) -> None:
    send(ann)
    with server.hanging_up(step, times=1), pytest.raises(smtplib.SMTPServerDisconnected):
        send(ann)
    assert len(server.to(ann)) == taken


def test_a_child_process_makes_a_connection_of_its_own(server: MailServer, ann: str) -> None:
    send(ann)
    child = os.fork()
    if not child:
        try:
            os._exit(0 if send(ann) else 1)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    send(ann)
    assert connections(server) == ["a", "b", "a"]


def test_a_server_is_given_the_ten_minutes_that_the_standard_asks_for() -> None:
    from config import settings as ours

    assert ours.EMAIL["EMAIL_TIMEOUT"] is None
    assert ours.EMAIL_TIMEOUT == 600  # type: ignore[attr-defined]
    assert settings.EMAIL["EMAIL_FILE_PATH"] == str(settings.DATA_DIR / "mail")
