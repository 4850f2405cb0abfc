"""What people may fill in about being told."""

from collections.abc import Iterator
from typing import Any

from django import forms

from notifications import choices, webhooks
from notifications.models import Channel, Event


class DateTimeInput(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self, attrs: Any = None) -> None:
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


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


class EndpointForm(forms.Form):
    """Refuses with the words of `webhooks`, which knows what may be an endpoint."""

    url = forms.CharField(
        label="Address",
        max_length=2000,
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/hooks", "autocomplete": "off"}),
        error_messages={"required": "Say where to send it."},
    )
    events = forms.MultipleChoiceField(
        label="Send it when",
        choices=[(event.value, event.label) for event in webhooks.EVENTS],
        widget=forms.CheckboxSelectMultiple,
        initial=webhooks.EVENTS,
        error_messages={"required": "Choose at least one."},
    )

    def clean_url(self) -> str:
        try:
            return webhooks.checked(self.cleaned_data["url"])
        except webhooks.Refused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal


class RangeForm(forms.Form):
    """Times are UTC, as the page says."""

    since = forms.DateTimeField(label="From (UTC)", widget=DateTimeInput)
    until = forms.DateTimeField(label="Until (UTC)", widget=DateTimeInput)
    everything = forms.BooleanField(label="Also what was delivered", required=False)

    def clean(self) -> dict[str, Any]:
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and since >= until:
            raise forms.ValidationError("The time has to end after it begins.")
        return self.cleaned_data
