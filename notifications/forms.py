"""What people may fill in about being told."""

from collections.abc import Iterator
from typing import Any

from django import forms

from notifications import choices
from notifications.models import Channel, Event


class ChoicesForm(forms.Form):
    """A box for each event and channel that can be chosen."""

    def __init__(self, user: Any, data: Any = None) -> None:
        super().__init__(data)
        self.user = user
        for (event, channel), wanted in choices.of(user).items():
            label = f"{event.label}: {channel.label}"
            self.fields[_name(event, channel)] = forms.BooleanField(label=label, required=False, initial=wanted)

    def rows(self) -> Iterator[tuple[Event, list[tuple[Channel, Any]]]]:
        """Each event with its box for each channel, or None where there is nothing to choose."""
        for event in choices.DEFAULTS:
            names = [(channel, _name(event, channel)) for channel in Channel]
            yield event, [(channel, self[name] if name in self.fields else None) for channel, name in names]

    def save(self) -> None:
        for event, channel in choices.defaults():
            choices.choose(self.user, event, channel, self.cleaned_data[_name(event, channel)])


def _name(event: Event, channel: Channel) -> str:
    return f"{event}:{channel}"
