"""How the operators' pages write moments, spans and JSON."""

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.operating import listing
from jobs.operating.durations import short

register = template.Library()

register.filter("short", short)
register.filter("took", listing.took)
register.filter("wrong", listing.wrong)


@register.filter
def ago(moment: datetime | None) -> str | SafeString:
    """How long ago, or how long until then. The exact moment is in the element, for those who point at it."""
    if moment is None:
        return ""
    away = timezone.now() - moment
    text = f"{short(away)} ago" if away >= timedelta(0) else f"in {short(-away)}"
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', moment.isoformat(" ", "seconds"), text)


@register.filter
def since(moment: datetime) -> str:
    return short(timezone.now() - moment)


@register.filter
def oneline(value: Any) -> str:
    return ", ".join(f"{name}={json.dumps(item, ensure_ascii=False)}" for name, item in value.items())


@register.filter
def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def of(counts: dict[Any, Any], key: Any) -> Any:
    return counts[key]
