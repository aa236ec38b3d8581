"""`manage.py serve`: the production server."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from alertsite.server import serve


class Command(BaseCommand):
    help = "Serve pages, REST, media and alert sockets until SIGINT or SIGTERM, then drain and stop."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port to listen on (PORT, 8088)")
        parser.add_argument("--workers", type=int, default=1, help="processes; this version serves with one")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] != 1:
            raise CommandError(
                f"--workers {options['workers']}: several processes need REDIS_URL, which this version does not read",
                returncode=2,
            )
        listen_and_serve(self, options["host"], options["port"])


def listen_and_serve(command: BaseCommand, host: str, port: int, **more: Any) -> None:
    """Serve, with what is wrong about the address as one line."""
    try:
        serve(host, port, **more)
    except DatabaseError as error:
        raise CommandError(f"the database cannot be used: {error}. `manage.py migrate` prepares it") from error
    except (OSError, OverflowError) as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error}") from error
