import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config.processes import Processes, procfile


class Command(BaseCommand):
    help = "Runs the whole site on this machine: what the Procfile lists, on a database that is up to date."
    requires_system_checks: list[str] = []

    def handle(self, **options: object) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "This is for development, and DEBUG is off. In production run the lines of the Procfile."
            )
        self.check_free()
        call_command("migrate", verbosity=0)
        call_command("demo_users", verbosity=0)
        call_command("seed", verbosity=0)
        connections.close_all()
        Thread(target=self.welcome, daemon=True).start()
        Processes(procfile(Path(settings.BASE_DIR, "Procfile"))).run()

    def check_free(self) -> None:
        if answers(socket.AF_INET, ("127.0.0.1", settings.PORT)):
            raise CommandError(f"Port {settings.PORT} is taken. Choose another: PORT={settings.PORT + 1} make dev")
        if answers(socket.AF_INET, ("127.0.0.1", settings.GATEWAY_PORT)):
            taken = settings.GATEWAY_PORT
            raise CommandError(
                f"Port {taken} is taken. Choose another for the gateway: GATEWAY_PORT={taken + 1} make dev"
            )
        if answers(socket.AF_UNIX, str(settings.VALKEY_SOCKET)):
            raise CommandError(
                f"Another Nightshift runs in {settings.DATA_DIR}. Choose another: DATA_DIR=data2 make dev"
            )

    def welcome(self) -> None:
        """Say where to go, once the site is there."""
        while not healthy():
            time.sleep(0.1)
        self.stdout.write(
            self.style.SUCCESS(f"""
  Nightshift runs at {settings.SITE_URL}

    Log in as  demo@example.com / demo
    or as      admin@example.com / admin, who also sees {settings.SITE_URL}/admin/

  Its data is in {settings.DATA_DIR}. Ctrl-C stops everything.
""")
        )


def answers(family: int, address: tuple[str, int] | str) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


def healthy() -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{settings.PORT}/health", timeout=5):
        return True
    return False
