import os

from django.conf import settings
from django.core.management.base import BaseCommand

from config import parts


class Command(BaseCommand):
    help = "Becomes the Valkey server of this DATA_DIR: the broker and the channel layer."
    requires_system_checks: list[str] = []

    def handle(self, **options: object) -> None:
        """It listens to its owner alone, and keeps nothing on disk: the rows are the truth."""
        program = parts.valkey_server()
        os.execv(
            program,
            [
                *(program, "--port", "0"),
                *("--unixsocket", str(settings.VALKEY_SOCKET), "--unixsocketperm", "700"),
                *("--save", "", "--appendonly", "no", "--dir", str(settings.DATA_DIR)),
                *("--logfile", "", "--loglevel", "warning"),
            ],
        )
