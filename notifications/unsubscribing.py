"""Unsubscribing by a link that needs no login, and by a button of the mail reader: RFC 8058.

The mail reader, or its server, sends a POST to the address in `List-Unsubscribe`, without cookies. A GET changes
nothing: programs that look for harmful links follow every link in a mail.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.urls import reverse

from notifications import choices
from notifications.models import Channel, Event

signer = signing.Signer(salt="unsubscribe")


def address(user: Any, event: Event) -> str:
    """Where this person, or whoever has the link, can end the mails about this event. It does not expire."""
    token = signer.sign_object([user.pk, event])
    return f"{settings.SITE_URL}{reverse('notifications:unsubscribe', args=[token])}"


def headers(address: str) -> dict[str, str]:
    return {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def read(token: str) -> tuple[Any, Event] | None:
    """Who wants to hear no more of what. None: this is no link of ours, or its user is gone."""
    try:
        pk, event = signer.unsign_object(token)
    except (signing.BadSignature, ValueError):
        return None
    user = get_user_model()._default_manager.filter(pk=pk).first()
    return (user, Event(event)) if user else None


def unsubscribe(user: Any, event: Event) -> None:
    choices.choose(user, event, Channel.MAIL, wanted=False)
