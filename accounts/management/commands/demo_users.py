from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User

DEMO = {"email": "demo@example.com", "password": "demo"}
ADMIN = {"email": "admin@example.com", "password": "admin"}


class Command(BaseCommand):
    help = "Make the demo users demo@example.com (password: demo) and admin@example.com (password: admin)."

    def handle(self, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("Demo users have known passwords. They are for development, and DEBUG is off.")
        if not User.objects.filter(email=DEMO["email"]).exists():
            User.objects.create_user(**DEMO)
        if not User.objects.filter(email=ADMIN["email"]).exists():
            User.objects.create_superuser(**ADMIN)
