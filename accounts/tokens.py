"""Bearer tokens: made once, shown once, recognised by their digest."""

import hashlib
import secrets

from accounts.models import Token, User

PREFIX = "nightshift_"  # lets secret scanners recognise one that leaked


def create(user: User, name: str) -> str:
    """Make a token for `user` and return its secret, which cannot be shown again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    Token.objects.create(user=user, name=name, digest=_digest(secret))
    return secret


def user_of(secret: str) -> User | None:
    """Whose token this is, if it is one and its user is active."""
    return User.objects.filter(tokens__digest=_digest(secret), is_active=True).first()


def _digest(secret: str) -> str:
    # The secret has 256 random bits, so a plain fast hash is as good as a slow one.
    return hashlib.sha256(secret.encode()).hexdigest()
