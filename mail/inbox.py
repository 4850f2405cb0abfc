"""The mails of a development site, read back from the files that Django's file backend writes instead of sending."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings

AFTER_EACH = b"\n" + b"-" * 79 + b"\n"  # what the file backend writes
SHOWN = 100


@dataclass
class Mail:
    name: str  # tells it from all others
    message: EmailMessage

    @property
    def date(self) -> datetime | None:
        return self.message["date"].datetime if self.message["date"] else None

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, str(value)) for name, value in self.message.items()]

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=[kind])
        return part.get_content() if part else ""


def newest() -> list[Mail]:
    """The latest mails, the newest first."""
    folder = Path(settings.EMAIL["EMAIL_FILE_PATH"])
    files = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [mail for file in files[:SHOWN] for mail in reversed(list(_mails(file)))]


def find(name: str) -> Mail | None:
    return next((mail for mail in newest() if mail.name == name), None)


def _mails(file: Path) -> Iterator[Mail]:
    *whole, _ = file.read_bytes().split(AFTER_EACH)  # the rest is nothing, or still being written
    for number, content in enumerate(whole):
        yield Mail(f"{file.stem}-{number}", message_from_bytes(content, policy=policy.default))
