"""The inbox of a development site: mails are shown here instead of being sent.

Open to everybody, as somebody who lost their password has to get at the mail about it. In production these pages do not
exist: see `config.urls`.
"""

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET

from mail import inbox

# What a mail may do in its frame: be seen, and have its links followed.
FRAMED = {
    "default-src": [NONE],
    "style-src": [UNSAFE_INLINE],
    "img-src": ["https:", "data:"],
    "frame-ancestors": [SELF],
    "sandbox": ["allow-top-navigation-by-user-activation"],
}


@require_GET
def mails(request: HttpRequest) -> HttpResponse:
    return render(request, "mail/inbox.html", {"mails": inbox.newest()})


@require_GET
def mail(request: HttpRequest, name: str) -> HttpResponse:
    return render(request, "mail/mail.html", {"mail": _find(name)})


@require_GET
@xframe_options_sameorigin
@csp_replace(FRAMED)  # type: ignore[arg-type]
def html(request: HttpRequest, name: str) -> HttpResponse:
    """The mail as a mail reader would show it, for a frame. Its links open in place of the page around it."""
    return HttpResponse(f'<base target="_top">{_find(name).html}')


def _find(name: str) -> inbox.Mail:
    found = inbox.find(name)
    if found is None:
        raise Http404
    return found
