"""People at the admin."""

import html

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client


def staff(email: str, *groups: str) -> Client:
    user = get_user_model().objects.create_user(email, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client


def said(response) -> str:
    return html.unescape(response.content.decode())
