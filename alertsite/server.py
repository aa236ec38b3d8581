"""uvicorn, wrapped so that it drains: at SIGTERM calls are heard to their end and subscribers told, then it stops."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import uvicorn
from django.db import DatabaseError, connections

from alerts import attendance, dispatch
from alerts.consumers import HEARTBEAT_MS, say_goodbye
from alerts.hub import the_hub
from alertsite import door, hearing
from alertsite.asgi import application_of
from alertsite.identity import has_gone, server_name
from alertsite.routing import Role, media

logger = logging.getLogger(__name__)
MEDIA_WITHIN_S = 10.0
STORED_WITHIN_S = 10.0
DELIVERED_WITHIN_S = 5.0
LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024  # uvicorn's own bound; sockets have tighter ones of theirs
Background = Callable[[], Coroutine[Any, Any, None]]


class DrainingServer(uvicorn.Server):
    """A uvicorn server whose shutdown is the drain, and whose signals end it with exit code 0."""

    def __init__(self, config: uvicorn.Config, background: Background | None, parent: int | None) -> None:
        super().__init__(config)
        self._background = background
        self._parent = parent

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises a signal again after its shutdown; a drained server has done what it asked."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        if self._parent is not None:
            loop.add_reader(self._parent, self._orphaned)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _orphaned(self) -> None:
        """The parent was killed: who would stop this process?"""
        assert self._parent is not None, "only a child watches its parent"
        asyncio.get_running_loop().remove_reader(self._parent)
        logger.error("the parent process has gone; this one drains and stops")
        self.handle_exit(signal.SIGTERM, None)

    async def main_loop(self) -> None:
        """Serves until told to stop, with the background work beside it."""
        async with _beside(self._background):
            await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No new connections; calls, alerts, subscribers, in the order of an alert's way; then uvicorn's own."""
        for server in self.servers:
            server.close()
        await drain()
        await super().shutdown(sockets)


@contextlib.asynccontextmanager
async def _beside(background: Background | None) -> AsyncIterator[None]:
    task = asyncio.create_task(background()) if background else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def drain() -> None:
    """What has come in goes out: open findings end and are stored, then subscribers get them and the goodbye."""
    the_hub().draining = True
    try:
        async with asyncio.timeout(MEDIA_WITHIN_S):
            await media().shutdown()
            await hearing.stop()
    except TimeoutError:
        logger.error("some calls could not be closed within %.0f s", MEDIA_WITHIN_S)
    await asyncio.to_thread(dispatch.close, STORED_WITHIN_S)
    await say_goodbye(DELIVERED_WITHIN_S)
    await attendance.stop()
    await the_hub().stop()


def serve(
    listener: socket.socket,
    background: Background | None = None,
    role: Role = Role.EVERYTHING,
    parent: int | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, or until the pipe `parent` ends, which only its parent holds open.

    Raises:
        DatabaseError: the database cannot be used.
    """
    config = uvicorn.Config(
        application_of(role),
        loop="uvloop",
        ws=door.protocol(),
        ws_ping_interval=HEARTBEAT_MS / 1000,
        ws_ping_timeout=HEARTBEAT_MS / 1000,
        ws_per_message_deflate=False,
        ws_max_size=LARGEST_MESSAGE_BYTES,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=5,
        proxy_headers=True,
    )
    try:
        _close_calls_left_open()
    except DatabaseError:
        if role is not Role.WEB:  # which answers that the database is away, until it is back
            raise
    DrainingServer(config, background, parent).run(sockets=[listener])


def _close_calls_left_open() -> None:
    left = dispatch.close_calls_left_open(server_name(), has_gone)
    connections.close_all()
    if left:
        logger.warning("%d calls were in progress when an earlier process stopped; they are closed", left)
