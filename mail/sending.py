"""One mail: composed from its templates, and given to the mail server. Knows nothing of jobs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

HEADERS = {"Auto-Submitted": "auto-generated"}  # keeps holiday notices from answering
NONE: Mapping[str, str] = {}


class Refused(Exception):
    """The mail server will never take this mail. The message says so to the person whose mail it is."""


def compose(
    template: str, to: str, context: dict[str, Any], message_id: str, headers: Mapping[str, str] = NONE
) -> EmailMultiAlternatives:
    """The mail that `<template>.subject.txt`, `<template>.txt` and `<template>.html` describe."""
    context = {"site_url": settings.SITE_URL, **context}
    subject = " ".join(render_to_string(f"{template}.subject.txt", context, using="text").split())
    text = render_to_string(f"{template}.txt", context, using="text")
    html = render_to_string(f"{template}.html", {**context, "subject": subject})
    ours = {**HEADERS, "Message-ID": f"<{message_id}@{urlsplit(settings.SITE_URL).hostname}>"}
    message = EmailMultiAlternatives(subject, text, to=[to], headers={**ours, **headers})
    message.attach_alternative(html, "text/html")
    return message


def attach(message: EmailMultiAlternatives, file: str) -> None:
    """Add a file of the storage. Raises FileNotFoundError."""
    with default_storage.open(file, "rb") as opened:
        message.attach(PurePosixPath(file).name, opened.read())


def send(message: EmailMultiAlternatives, on_accepted: Callable[[], None]) -> None:
    """Give the mail to the server, and call `on_accepted` in the moment it has taken it.

    Raises Refused. Any other error means that it may work later.
    """
    with refusals():
        get_connection().send_messages([message])
    on_accepted()


@contextmanager
def refusals() -> Iterator[None]:
    """Tells a refusal for good from all else that may go wrong.

    Only what the server says of the recipient or of the mail itself can be one, by a code of 500 and more. What it says
    of us, of our password or our address as the sender, is for operators to mend, and the mail waits for that.
    """
    try:
        yield
    except SMTPRecipientsRefused as error:
        [(address, (code, _))] = error.recipients.items()
        if code < 500:
            raise
        raise Refused(f"The mail server does not deliver to {address} (code {code}). Check the address.") from error
    except SMTPDataError as error:
        if error.smtp_code < 500:
            raise
        raise Refused(f"The mail server refused this mail (code {error.smtp_code}).") from error
