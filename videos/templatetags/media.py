from django import template
from django.db.models.fields.files import FieldFile

from files import serving
from videos.models import Video

register = template.Library()


@register.simple_tag
def media_url(file: FieldFile, video: Video) -> str:
    """Where the owner of `video`, who is looking at the page, finds this file of it."""
    return serving.address(file, video.owner_id)


@register.filter
def clock(seconds: float) -> str:
    """How long a video is, as players say it: 1:07, or 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
