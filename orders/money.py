"""Amounts as people write them."""

# The currencies that have no minor unit, of those Stripe takes: https://docs.stripe.com/currencies#zero-decimal
WHOLE = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}


def in_words(amount: int, currency: str) -> str:
    """1,234.50 EUR"""
    written = f"{amount:,}" if currency in WHOLE else f"{amount // 100:,}.{amount % 100:02}"
    return f"{written} {currency.upper()}"
