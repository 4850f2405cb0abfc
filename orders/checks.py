"""What `manage.py check`, and every other command, warns of."""

import os
from typing import Any

from django.conf import settings
from django.core import checks


@checks.register
def payments_are_taken(**_: Any) -> list[checks.CheckMessage]:
    if settings.DEBUG or os.environ.get("STRIPE_API_KEY"):
        return []
    words = "This is production, and the sandbox gateway takes the payments: there will be no money."
    return [checks.Warning(words, hint="Set STRIPE_API_KEY.", id="orders.W001")]
