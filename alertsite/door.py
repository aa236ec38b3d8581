"""uvicorn's WebSocket protocol with a door: what ASGI has no words for, and sockets that are always freed.

It builds on private parts of uvicorn and of websockets, so it is used only with the minor version it was made for.
"""

import asyncio
import logging

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

logger = logging.getLogger(__name__)
MADE_FOR = "0.54."
BUILT_ON = (
    "data_received",
    "handle_connect",
    "handle_cont",
    "handle_ping",
    "keepalive_timeout",
    "on_task_complete",
    "connection_lost",
    "pause_writing",
    "resume_writing",
)
MAX_UNREAD_PONGS_BYTES = 1024 * 1024  # a client that pings and does not read; more means it is cut off


def protocol() -> type[asyncio.Protocol]:
    """The class that serves WebSockets: ours where uvicorn is as expected, else its own, slower and said once."""
    if uvicorn.__version__.startswith(MADE_FOR) and all(hasattr(WebSocketsSansIOProtocol, name) for name in BUILT_ON):
        return DoorProtocol
    logger.warning("uvicorn %s is not %sx: alerts take the slow path", uvicorn.__version__, MADE_FOR)
    return WebSocketsSansIOProtocol


class Door:
    """The scope's extension `alertsite.door`, for one connection."""

    def __init__(self, connection: "DoorProtocol") -> None:
        self._connection = connection

    def limit(self, largest_message_bytes: int) -> None:
        """From now on a larger message of the client ends the connection with 1009."""
        self._connection.conn.max_message_size = largest_message_bytes

    def write(self, frames: bytes) -> None:
        """Write ready-made frames, between the handshake and the close only."""
        if self._connection.is_open:
            self._connection.transport.write(frames)

    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._connection.transport.get_write_buffer_size()

    async def taken(self) -> None:
        """Wait until the client has taken most of what waits, or has gone."""
        await self._connection.writable.wait()

    def abort(self) -> None:
        """Free the socket and what waits for it, now."""
        self._connection.transport.abort()


class DoorProtocol(WebSocketsSansIOProtocol):
    """One connection. Where uvicorn closes and waits for a flush that a dead peer never lets come, this one aborts."""

    _abort_timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether data frames may be written."""
        return (
            self.handshake_complete
            and not self.close_sent
            and self.conn.state is State.OPEN
            and not self.transport.is_closing()
        )

    def data_received(self, data: bytes) -> None:
        """Also answers a handshake that cannot be read: uvicorn would leave its client waiting."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """The application finds the door in the scope; its task has not started yet."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"]["alertsite.door"] = Door(self)  # type: ignore[assignment]

    def handle_cont(self, event: Frame) -> None:
        """Empty fragments, which no message size bounds, are not kept."""
        if event.data or event.fin:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answers, unless the client does not read the answers."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS_BYTES:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """The peer has not answered a ping: it is gone, and so is what waits for it."""
        super().keepalive_timeout()
        self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done with it: the peer has `close_timeout` to take the rest."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._abort_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._abort_timer is not None:
            self._abort_timer.cancel()
