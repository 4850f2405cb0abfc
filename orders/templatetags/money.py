from django import template

from orders import money

register = template.Library()


@register.filter
def in_words(amount: int, currency: str) -> str:
    """{{ order.amount|in_words:order.currency }}"""
    return money.in_words(amount, currency)
