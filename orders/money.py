"""Amounts as people write them."""

from decimal import Decimal

# The currencies that have no minor unit, of those Stripe takes: https://docs.stripe.com/currencies#zero-decimal
WHOLE = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}


def in_words(amount: int, currency: str) -> str:
    """1,234.50 EUR"""
    written = f"{amount:,}" if currency in WHOLE else f"{amount // 100:,}.{amount % 100:02}"
    return f"{written} {currency.upper()}"


def exact(amount: int, currency: str) -> Decimal:
    """1234.50, for programs."""
    return Decimal(amount) if currency in WHOLE else Decimal(amount).scaleb(-2)
