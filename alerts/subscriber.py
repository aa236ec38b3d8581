"""One client of the alert socket: what it follows, and what waits to be written to it."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from alerts.access import Principal

MAX_WAITING_BYTES = 1024 * 1024  # for one client; more means it is disconnected


class Subscriber:
    """One client: what it follows, and what waits to be written to it.

    `send` writes one text frame and waits while the client does not read; only this subscriber's own task waits
    for it, so a stalled client never holds up another. `close` ends the socket with a code and a reason.
    """

    def __init__(
        self,
        principal: Principal,
        send: Callable[[str], Coroutine[Any, Any, None]],
        close: Callable[[int, str], Coroutine[Any, Any, None]],
    ) -> None:
        self.principal = principal
        self.close = close
        self.calls: set[str] = set()  # what it follows; kept by the hub
        self._send = send
        self._waiting: deque[str] = deque()  # bounded by MAX_WAITING_BYTES
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()  # nothing waits and nothing is being written
        self._idle.set()
        self._leaving: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._write())

    def put(self, text: str) -> None:
        """Queue one frame."""
        if self._leaving:
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        self._idle.clear()
        self._wake.set()
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.end(4008, "Too slow")

    def call_lost(self, call_id: str) -> None:
        """It may no longer see a call that it followed. Version 1 has no frame for that: it is closed."""
        self.end(4003, "Call not allowed")

    def end(self, code: int, reason: str) -> None:
        """Closes the socket from our side, without waiting; nothing more is taken."""
        if self._leaving is None:
            self._drop_waiting()
            self._leaving = asyncio.create_task(self.close(code, reason))

    async def drain(self) -> None:
        """Waits until all that was queued has been written."""
        await self._idle.wait()

    def stop(self) -> None:
        """Nothing more is written."""
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
                    self._drop_waiting()
            self._idle.set()

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
