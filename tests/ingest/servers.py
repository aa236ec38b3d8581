"""A media app on a real server and port, and a sink that keeps what it is told."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from analysis.ingest.events import Audio, Gap, Start
from analysis.media import Dismiss, MediaApp, Refused

TOKEN = "right-token"
PUBLIC_URL = "https://alerts.example.com"


class KeptStream:
    """Keeps everything it is given; full above `capacity` bytes until `release`."""

    def __init__(self, start: Start, capacity: float, dismiss: Dismiss) -> None:
        self.start = start
        self.dismiss = dismiss
        self.events: list[Audio | Gap] = []
        self.closed_with: list[str] = []
        self.written = asyncio.Event()
        self.ended = asyncio.Event()
        self._capacity = capacity
        self._room = asyncio.Event()

    @property
    def size(self) -> int:
        return sum(len(event.data) for event in self.events if isinstance(event, Audio))

    def write(self, event: Audio | Gap) -> bool:
        if isinstance(event, Audio) and event.data.startswith(b"BUG"):
            raise ZeroDivisionError("a bug that this audio hits")
        self.events.append(event)
        self.written.set()
        return self._room.is_set() or self.size < self._capacity

    async def drain(self) -> None:
        await self._room.wait()

    def release(self) -> None:
        self._room.set()

    async def close(self, reason: str) -> None:
        await asyncio.sleep(0)
        self.closed_with.append(reason)
        self.ended.set()


class KeptStreams:
    """A sink that takes `places` streams, each of `capacity` bytes."""

    def __init__(self, *, places: int = 100, capacity: float = float("inf")) -> None:
        self.streams: list[KeptStream] = []
        self._places = places
        self._capacity = capacity
        self._opened = asyncio.Event()

    async def open(self, start: Start, dismiss: Dismiss) -> KeptStream:
        if len(self.streams) == self._places:
            raise Refused(1013, "Too many calls")
        self.streams.append(KeptStream(start, self._capacity, dismiss))
        self._opened.set()
        return self.streams[-1]

    async def stream(self, call_id: str) -> KeptStream:
        """The stream of this call, once it is there."""
        while True:
            for stream in self.streams:
                if stream.start.call_id == call_id:
                    return stream
            self._opened.clear()
            await self._opened.wait()


@asynccontextmanager
async def serving(app: MediaApp) -> AsyncIterator[str]:
    """The address `ws://127.0.0.1:<free port>` at which the app is served."""
    config = uvicorn.Config(
        app, ws="websockets-sansio", lifespan="off", log_level="error", ws_per_message_deflate=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await app.shutdown()
            server.should_exit = True
            await serve
