"""Who wants to hear of what, and by which way.

What is there to choose, and what holds for those who never chose, is the one table below. Only differences from it are
stored, so a default that changes holds at once for all who have not decided otherwise.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, QuerySet

from notifications.models import Channel, Choice, Event

DEFAULTS: dict[Event, dict[Channel, bool]] = {
    Event.JOB_SUCCEEDED: {Channel.MAIL: False, Channel.BROWSER: True, Channel.WEBHOOK: True},
    Event.JOB_DEAD: {Channel.MAIL: True, Channel.BROWSER: True, Channel.WEBHOOK: True},
    Event.DAILY_SUMMARY: {Channel.MAIL: True},
    Event.NEWS: {Channel.MAIL: False},
}

Way = tuple[Event, Channel]


def wants(user: Any, event: Event, channel: Channel) -> bool:
    return of(user)[event, channel]


def of(user: Any) -> dict[Way, bool]:
    """All choices of a person, those never made included."""
    chosen = defaults()
    for choice in Choice.objects.filter(user=user):
        way = Event(choice.event), Channel(choice.channel)
        if way in chosen:
            chosen[way] = choice.wanted
    return chosen


def those_who_want(event: Event, channel: Channel, users: QuerySet[Any] | None = None) -> QuerySet[Any]:
    """Of these users, or of all, those who are to be told. One query, however many they are."""
    users = get_user_model()._default_manager.all() if users is None else users
    usual = default(event, channel)
    others = Choice.objects.filter(user=OuterRef("pk"), event=event, channel=channel, wanted=not usual)
    return users.exclude(Exists(others)) if usual else users.filter(Exists(others))


def choose(user: Any, event: Event, channel: Channel, wanted: bool) -> None:
    """Raises KeyError if there is nothing to choose: an event that does not go to this channel."""
    if wanted == default(event, channel):
        Choice.objects.filter(user=user, event=event, channel=channel).delete()
    else:
        Choice.objects.update_or_create(user=user, event=event, channel=channel, defaults={"wanted": wanted})


def default(event: Event, channel: Channel) -> bool:
    return DEFAULTS[event][channel]


def defaults() -> dict[Way, bool]:
    return {(event, channel): wanted for event, channels in DEFAULTS.items() for channel, wanted in channels.items()}
