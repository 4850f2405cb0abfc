from django import template
from django.conf import settings
from django.db.models.fields.files import FieldFile
from django.templatetags.static import static

from files import serving

register = template.Library()


@register.simple_tag
def media_url(file: FieldFile, viewer: int | str) -> str:
    """Where whoever is looking at the page finds this file: its owner by their id, others by the video's link."""
    return serving.address(file, viewer)


@register.simple_tag
def hls_library() -> str:
    """Where pages find hls.js. Empty where it is not installed."""
    return static("hls/hls.min.mjs") if settings.HLS_LIBRARY.exists() else ""


@register.filter
def clock(seconds: float) -> str:
    """How long a video is, as players say it: 1:07, or 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
