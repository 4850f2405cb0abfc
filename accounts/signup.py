"""Signing up."""

from django.db import IntegrityError, transaction

from accounts.models import User
from mail.tasks import send_message


class AddressTaken(Exception):
    """Somebody has an account with this address."""


def sign_up(email: str, password: str) -> User:
    """Make the account and, in the same transaction, the job that welcomes its owner. Raises AddressTaken."""
    user = User(email=User.objects.normalize_email(email))
    user.set_password(password)  # takes long on purpose: not in the transaction
    try:
        with transaction.atomic():
            user.save()
            send_message.enqueue(
                template="accounts/messages/welcome",
                to=user.email,
                context={"email": user.email},
                owner=user,
                key=f"welcome:{user.pk}",
            )
    except IntegrityError as error:
        raise AddressTaken(email) from error
    return user
