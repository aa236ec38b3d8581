"""How frames leave for one client: straight into its transport where the server offers that, else by a task."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

logger = logging.getLogger(__name__)
MAX_WAITING_BYTES = 1024 * 1024  # for one client; more means it is disconnected
MAX_JOINED_BYTES = 256 * 1024  # of one turn's frames; more are written before the turn ends


class Door(Protocol):
    """What a server may offer beyond ASGI, as the scope's extension `alertsite.door`."""

    def limit(self, largest_message_bytes: int) -> None:
        """From now on a larger message of the client ends the connection with 1009."""

    def write(self, frames: bytes) -> None:
        """Write ready-made WebSocket frames; nothing once the connection is closing."""

    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""

    async def taken(self) -> None:
        """Wait until the client has taken most of what waits, or has gone."""

    def abort(self) -> None:
        """Free the socket and what waits for it, now."""


class Outlet(Protocol):
    """Where a subscriber's frames go. `put` never waits."""

    def put(self, text: str) -> None:
        """One text frame."""

    async def drain(self) -> None:
        """Wait until all that was put has been handed to the server."""

    async def taken(self) -> None:
        """Wait, one turn of the loop at least, until the client has taken most of what was put."""

    def drop(self) -> None:
        """The client has gone."""


_last: tuple[str, bytes] = ("", b"\x81\x00")
_dirty: list["DirectOutlet"] = []  # those with frames of this turn of the loop; as many as there are subscribers


def frame_of(text: str) -> bytes:
    """A text frame as a server sends it: unmasked, so one alert's is the same for all and is made once."""
    global _last
    if _last[0] is not text:
        body = text.encode()
        if len(body) < 126:
            head = bytes((0x81, len(body)))
        elif len(body) < 65_536:
            head = b"\x81\x7e" + len(body).to_bytes(2, "big")
        else:
            head = b"\x81\x7f" + len(body).to_bytes(8, "big")
        _last = (text, head + body)
    return _last[1]


def _flush_all() -> None:
    dirty = _dirty.copy()
    _dirty.clear()
    for outlet in dirty:
        try:
            outlet.flush()
        except Exception:  # one connection's fault must not cost the others their alerts
            logger.exception("frames could not be written to a subscriber")


class DirectOutlet:
    """Writes through the server's door: what one turn of the event loop brings is one write."""

    def __init__(self, door: Door, too_slow: Callable[[], None]) -> None:
        self._door = door
        self._too_slow = too_slow
        self._frames: list[bytes] = []  # of this turn; written early beyond MAX_JOINED_BYTES
        self._size = 0

    def put(self, text: str) -> None:
        if not self._frames:
            if not _dirty:
                asyncio.get_running_loop().call_soon(_flush_all)
            _dirty.append(self)
        frame = frame_of(text)
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > MAX_JOINED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what there is. The transport keeps what the client does not take; too much of it, and it is let go."""
        if self._frames:
            self._door.write(self._frames[0] if len(self._frames) == 1 else b"".join(self._frames))
            self._frames.clear()
            self._size = 0
            if self._door.waiting() > MAX_WAITING_BYTES:
                self._too_slow()

    async def drain(self) -> None:
        self.flush()

    async def taken(self) -> None:
        self.flush()
        await asyncio.sleep(0)
        await self._door.taken()

    def drop(self) -> None:
        self._frames.clear()


class QueuedOutlet:
    """Writes by a task of its own, which alone waits while the client does not read."""

    def __init__(self, send: Callable[[str], Coroutine[Any, Any, None]], too_slow: Callable[[], None]) -> None:
        self._send = send
        self._too_slow = too_slow
        self._waiting: deque[str] = deque()  # beyond MAX_WAITING_BYTES all is dropped and the client let go
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()  # nothing waits and nothing is being written
        self._idle.set()
        self._task = asyncio.create_task(self._write())

    def put(self, text: str) -> None:
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        self._idle.clear()
        self._wake.set()
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._forget()
            self._too_slow()

    async def drain(self) -> None:
        await self._idle.wait()

    async def taken(self) -> None:
        await asyncio.sleep(0)
        await self._idle.wait()

    def drop(self) -> None:
        self._task.cancel()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                text = self._waiting.popleft()
                self._waiting_bytes -= len(text)
                try:
                    await self._send(text)
                except Exception:  # the client has gone; its consumer hears of it and leaves
                    self._forget()
            self._idle.set()

    def _forget(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
