"""Bearer tokens: made once, shown once, recognised by their digest."""

import hashlib
import secrets
from datetime import timedelta

from django.utils import timezone

from accounts.models import Token, User

PREFIX = "nightshift_"  # lets secret scanners recognise one that leaked
USE_NOTED_EVERY = timedelta(minutes=1)  # a busy program does not write with every request


def create(user: User, name: str) -> str:
    """Make a token for `user` and return its secret, which cannot be shown again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    Token.objects.create(user=user, name=name, digest=_digest(secret))
    return secret


def user_of(secret: str) -> User | None:
    """Whose token this is, if it is one and its user is active."""
    token = Token.objects.select_related("user").filter(digest=_digest(secret), user__is_active=True).first()
    if token is None:
        return None
    _note_use(token)
    return token.user


def _note_use(token: Token) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > USE_NOTED_EVERY:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    # The secret has 256 random bits, so a plain fast hash is as good as a slow one.
    return hashlib.sha256(secret.encode()).hexdigest()
