"""What people may fill in about themselves."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import Token, User
from accounts.tasks import send_reset_link


class SignUpForm(forms.Form):
    email = forms.EmailField(
        label="Mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )
    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters, and not one that everybody uses.",
    )

    def clean_email(self) -> str:
        """Says when an address is taken, because people forget that they have an account.

        That tells strangers who has one, but whoever signs up learns it in any case.
        """
        email = self.cleaned_data["email"]
        if User.objects.filter(email__iexact=email).exists():
            raise self.taken()
        return email

    def clean(self) -> dict[str, Any]:
        if "email" in self.cleaned_data and "password" in self.cleaned_data:
            try:
                validate_password(self.cleaned_data["password"], User(email=self.cleaned_data["email"]))
            except ValidationError as error:
                self.add_error("password", error)
        return self.cleaned_data

    @staticmethod
    def taken() -> ValidationError:
        words = 'This address has an account. <a href="{}">Log in</a>, or <a href="{}">choose a new password</a>.'
        return ValidationError(format_html(words, reverse_lazy("login"), reverse_lazy("password_reset")))


class LostPasswordForm(forms.Form):
    email = forms.EmailField(
        label="Mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )

    def save(self, **_: Any) -> None:
        """Have the link mailed: once a minute and address, however often the button is pressed."""
        email = self.cleaned_data["email"].lower()
        send_reset_link.enqueue(email=email, key=f"{email}@{timezone.now():%Y-%m-%dT%H:%M}")


class NameForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["first_name", "last_name"]
        widgets = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "last_name": forms.TextInput(attrs={"autocomplete": "family-name"}),
        }


class TokenForm(forms.ModelForm):
    class Meta:
        model = Token
        fields = ["name"]
        labels = {"name": "What is it for?"}
        widgets = {"name": forms.TextInput(attrs={"placeholder": "backup script", "autocomplete": "off"})}
        help_texts = {"name": ""}
