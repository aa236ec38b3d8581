"""Which server this is, among several on one database."""

import socket

from django.conf import settings


def heard_by() -> str:
    """The name of this server, the same again after a restart; one process of it hears."""
    return f"{socket.gethostname()}:{settings.PORT}"
