"""Reading the database beside the event loop, apart from the one thread that all sockets share."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from channels.db import DatabaseSyncToAsync

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def in_own_thread(read: Callable[Given, Answer]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """For what must not queue behind a thousand clients that connect."""
    return DatabaseSyncToAsync(read, thread_sensitive=False)
