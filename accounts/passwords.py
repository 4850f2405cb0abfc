"""Choosing a new password when the old one is lost."""

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.models import User


def resettable(email: str) -> User | None:
    """Who may choose a new password by a mail to this address."""
    user = User.objects.filter(email__iexact=email, is_active=True).first()
    return user if user and user.has_usable_password() else None


def reset_link(user: User) -> str:
    """Where `user` may choose a new password: once, and for `settings.PASSWORD_RESET_TIMEOUT`."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("password_reset_confirm", args=[uid, default_token_generator.make_token(user)])
    return f"{settings.SITE_URL}{path}"
