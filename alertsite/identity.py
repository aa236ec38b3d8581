"""Which process this is, among all on one database, and which processes of this server have gone."""

import fcntl
import os
import secrets
import socket
from functools import cache

from django.conf import settings

LOCKS = settings.BASE_DIR / "var" / "processes.lock"  # a byte for each process, locked for as long as it lives


def server_name() -> str:
    """The name of this server, the same again after a restart; its processes share it."""
    return f"{socket.gethostname()}:{settings.PORT}"


def process_name() -> str:
    """The name of this process, which no other has, before or after it."""
    return f"{server_name()}/{_own_byte()}"


def has_gone(process: str) -> bool:
    """Whether the process of that name, one of this server, lives no more. However it ended, its lock ended with it."""
    byte = int(process.rpartition("/")[2])
    if byte == _own_byte():
        return False
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError:
        return False
    fcntl.lockf(_locks(), fcntl.LOCK_UN, 1, byte)
    return True


@cache
def _own_byte() -> int:
    byte = secrets.randbits(48)
    fcntl.lockf(_locks(), fcntl.LOCK_EX, 1, byte)
    return byte


@cache
def _locks() -> int:
    """Opened once and never closed: closing it anywhere in a process ends all the locks that the process has there."""
    return os.open(LOCKS, os.O_RDWR | os.O_CREAT, 0o644)
