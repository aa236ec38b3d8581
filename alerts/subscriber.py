"""One client of the alert socket: who it is, what it follows, and what is put out for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from alerts import frames
from alerts.access import Principal
from alerts.outlet import MAX_WAITING_BYTES, DirectOutlet, Door, Outlet, QueuedOutlet

Send = Callable[[str], Coroutine[Any, Any, None]]
Close = Callable[[int, str], Coroutine[Any, Any, None]]


class Subscriber:
    """One client. What is put never waits: a client that does not read holds up nobody and is let go.

    `send` writes one text frame and is used where the server offers no `door`. `close` ends the socket with a code
    and a reason.
    """

    def __init__(
        self, principal: Principal, send: Send, close: Close, *, version: int = 1, door: Door | None = None
    ) -> None:
        self.principal = principal
        self.version = version
        self.close = close
        self.calls: set[str] = set()  # what it follows; kept by the hub
        self._outlet: Outlet = DirectOutlet(door, self._too_slow) if door else QueuedOutlet(send, self._too_slow)
        self._held: list[str] | None = None  # while an answer is awaited; beyond MAX_WAITING_BYTES it is let go
        self._held_bytes = 0
        self._stopped = False
        self._leaving: asyncio.Task[None] | None = None

    def put(self, text: str) -> None:
        """One frame more."""
        if self._stopped:
            return
        if self._held is None:
            self._outlet.put(text)
            return
        self._held.append(text)
        self._held_bytes += len(text)
        if self._held_bytes > MAX_WAITING_BYTES:
            self._too_slow()

    def hold(self) -> None:
        """What is put waits from now on, so that an answer can go before it."""
        self._held, self._held_bytes = [], 0

    def release(self, *answer: str) -> None:
        """The answer, then what was held, then whatever comes."""
        held, self._held = self._held or [], None
        for text in (*answer, *held):
            self.put(text)

    def call_lost(self, call_id: str) -> None:
        """It may no longer see a call that it followed. Version 1 has no frame for that: it is closed."""
        if self.version == 1:
            self.end(4003, "Call not allowed")
        else:
            self.put(frames.encoded({"type": "unsubscribed", "callId": call_id, "code": "call_not_allowed"}))

    def end(self, code: int, reason: str) -> None:
        """Close the socket from our side, without waiting; nothing more is taken."""
        self._stopped = True
        if self._leaving is None:
            self._leaving = asyncio.create_task(self.close(code, reason))

    async def drain(self) -> None:
        """Waits until all that was put has been handed to the server."""
        await self._outlet.drain()

    def stop(self) -> None:
        """Takes nothing more; what was put is still written."""
        self._stopped = True

    def drop(self) -> None:
        """The client has gone."""
        self._outlet.drop()

    def _too_slow(self) -> None:
        self.end(4008, "Too slow")
