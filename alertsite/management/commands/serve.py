"""`manage.py serve`: the production server."""

import argparse
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from alertsite.management.one_line import OneLineCommand
from alertsite.routing import Role
from alertsite.server import serve
from alertsite.settings import whole
from alertsite.workers import bound, supervise


class Command(OneLineCommand):
    help = "Serve pages, REST, media and alert sockets until SIGINT or SIGTERM, then drain and stop."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port to listen on (PORT, 8088)")
        parser.add_argument("--workers", type=int, default=1, help="web processes; with more than one, one more hears")
        # How the parent of several processes starts them: what it is for, and descriptors it inherits.
        for name in ("--role", "--listener", "--parent"):
            parser.add_argument(name, type=Role if name == "--role" else int, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        workers, host, port = options["workers"], options["host"], options["port"]
        if options["role"]:
            serve(socket.socket(fileno=options["listener"]), role=options["role"], parent=options["parent"])
        elif workers < 1:
            raise CommandError(f"--workers {workers}: give 1 or more", returncode=2)
        elif workers == 1:
            listen_and_serve(self, host, port)
        elif not settings.REDIS_URL:
            raise CommandError(f"--workers {workers}: several processes need REDIS_URL", returncode=2)
        else:
            media_port = whole("MEDIA_PORT", port + 1, at_least=1, at_most=65_535)
            with _one_line(host, f"{port} or {media_port}"):
                supervise(host, port, media_port, workers)


def listen_and_serve(command: BaseCommand, host: str, port: int, **more: Any) -> None:
    """Serve, with what is wrong about the address as one line."""
    settings.PORT = port  # by which this server knows its calls again
    with _one_line(host, str(port)):
        listener = bound(host, port)
        with contextlib.closing(listener):
            serve(listener, **more)


@contextlib.contextmanager
def _one_line(host: str, port: str) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise CommandError(f"the database cannot be used: {error}. `manage.py migrate` prepares it") from error
    except (OSError, OverflowError) as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error}") from error
