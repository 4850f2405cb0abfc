"""Pages about oneself. Logging in and out and choosing passwords are Django's own, in `accounts.urls`."""

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import signup, tokens
from accounts.forms import NameForm, SignUpForm, TokenForm
from accounts.models import Token, User
from accounts.signals import access_withdrawn

BACKEND = "django.contrib.auth.backends.ModelBackend"  # who signs up is logged in as if by the password


class Request(HttpRequest):
    """Of somebody who is logged in."""

    user: User


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("/")
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        try:
            user = signup.sign_up(**form.cleaned_data)
        except signup.AddressTaken:  # a moment ago
            form.add_error("email", form.taken())
        else:
            login(request, user, backend=BACKEND)
            return redirect("/")
    return render(request, "accounts/sign_up.html", {"form": form})


@login_required
@require_GET
def account(request: Request) -> HttpResponse:
    return _page(request)


@login_required
@require_POST
def rename(request: Request) -> HttpResponse:
    form = NameForm(request.POST, instance=request.user)
    return _saved(request, form, "Your name is kept.") or _page(request, name_form=form)


@login_required
@never_cache
@require_POST
def create_token(request: Request) -> HttpResponse:
    """Answers with the page itself, not with a redirect to it: the secret is shown and kept nowhere."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, token_form=form)
    name = form.cleaned_data["name"]
    return _page(request, new_token={"name": name, "secret": tokens.create(request.user, name)})


@login_required
@require_POST
def revoke_token(request: Request, token_id: int) -> HttpResponse:
    token = get_object_or_404(Token, pk=token_id, user=request.user)
    token.delete()
    access_withdrawn.send(sender=Token, user=request.user)
    messages.success(request, f"The token “{token}” does not work any more.")
    return redirect("account")


def _saved(request: Request, form: ModelForm, words: str) -> HttpResponse | None:
    if not form.is_valid():
        return None
    form.save()
    messages.success(request, words)
    return redirect("account")


def _page(request: Request, **shown: object) -> HttpResponse:
    page = {
        "name_form": NameForm(instance=request.user),
        "token_form": TokenForm(),
        "tokens": request.user.tokens.all(),
        **shown,
    }
    return render(request, "accounts/account.html", page)
