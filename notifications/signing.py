"""Secrets of webhooks, and what is signed with them: the symmetric scheme `v1` of Standard Webhooks.

See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

No secret is stored. A secret is computed from a random seed, which is, and from `settings.WEBHOOK_KEY`, which is in the
environment of our processes: who reads the database can sign nothing.
"""

import base64
import hmac
import secrets

from django.conf import settings

PREFIX = "whsec_"


def new_seed() -> str:
    return secrets.token_hex(32)


def secret_of(seed: str) -> str:
    """32 bytes, as the receiver writes them down."""
    return PREFIX + base64.b64encode(_key_of(seed)).decode()


def headers(webhook_id: str, timestamp: int, body: bytes, seeds: list[str]) -> dict[str, str]:
    """The headers that prove who sends this body. One signature by each of the seeds, so that secrets can change."""
    signatures = (_sign(_key_of(seed), webhook_id, timestamp, body) for seed in seeds)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _sign(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def _key_of(seed: str) -> bytes:
    return hmac.digest(settings.WEBHOOK_KEY.encode(), f"webhook:{seed}".encode(), "sha256")
