from typing import Any

from django import template

from notifications import bell as ours

register = template.Library()


@register.inclusion_tag("notifications/bell.html")
def bell(user: Any) -> dict[str, Any]:
    """How many things have finished that this person has not seen, as a link to them."""
    number = ours.unseen(user)
    return {"unseen": number, "shown": f"{ours.COUNTED}+" if number > ours.COUNTED else number}
