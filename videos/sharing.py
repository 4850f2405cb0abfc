"""Who may see a video besides its owner: whoever has its link, or everybody.

A link is made when a video is shared and ends when it is private again, or gets a new one. The addresses of media files
that strangers are shown hold it, and are looked up each time, so they end with it.
"""

from secrets import token_urlsafe

from django.conf import settings
from django.urls import reverse

from videos.models import Video, Visibility

LINK_BYTES = 16  # nobody guesses so many


class NotShared(Exception):
    """A private video has no link."""


def share(video: Video, visibility: Visibility) -> None:
    """Let others see it, or nobody."""
    link = None if visibility == Visibility.PRIVATE else video.link or token_urlsafe(LINK_BYTES)
    _change(video, visibility, link)


def renew_link(video: Video) -> None:
    """Give it another link, which ends the one that others may have. Raises NotShared."""
    if video.link is None:
        raise NotShared("This video is private, so it has no link. Share it first.")
    _change(video, video.visibility, token_urlsafe(LINK_BYTES))


def _change(video: Video, visibility: str, link: str | None) -> None:
    video.visibility, video.link = visibility, link
    Video.objects.filter(pk=video.pk).update(visibility=visibility, link=link)


def address(video: Video) -> str | None:
    """Where others see it."""
    return f"{settings.SITE_URL}{reverse('watch', args=[video.link])}" if video.link else None


def is_shared(link: str) -> bool:
    return Video.objects.filter(link=link).exists()
