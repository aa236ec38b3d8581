"""A reconnect storm: clients that all come back at once to a real server, each of which missed alerts."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.live import LiveServer, an_alert, watcher_token
from tests.socket.raw import PING, PONG, TEXT, frame, handshake

GIVEN_UP_S = 120.0
AT_ONCE = 500  # alerts a POST
DATA = {"event": {"type": "overlap", "channel": "all", "timestamp": 28940, "duration": 1000, "metadata": {}}}


class ReturningClient(asyncio.Protocol):
    """One client, down to the bytes, so that a thousand of them cost little: upgrade, one request, then it listens.

    Args:
        upgrade: the bytes of the handshake.
        request: the frame that asks for what was missed.
        expected: how many alerts make it current.
    """

    def __init__(self, upgrade: bytes, request: bytes, expected: int) -> None:
        self._upgrade, self._request = upgrade, request
        self._expected = expected
        self._unread = b""
        self._upgraded = False
        self._seen: set[str] = set()
        self.current: asyncio.Future[float] = asyncio.get_running_loop().create_future()  # when, by `time.monotonic`

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._upgrade)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self._upgraded and b"\r\n\r\n" in self._unread:
            head, self._unread = self._unread.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = True
            self.transport.write(self._request)
        if self._upgraded:
            self._read_frames()

    def _read_frames(self) -> None:
        place = 0
        while (end := _end_of_frame(self._unread, place)) is not None:
            begin, stop = end
            opcode, payload = self._unread[place] & 0x0F, self._unread[begin:stop]
            if opcode == PING:
                self.transport.write(frame(PONG, payload))
            elif opcode == TEXT:
                self._take(payload)
            place = stop
        self._unread = self._unread[place:]

    def _take(self, payload: bytes) -> None:
        frame = orjson.loads(payload)
        if "seq" in frame and "id" in frame:
            self._seen.add(frame["id"])
        if len(self._seen) == self._expected and not self.current.done():
            self.current.set_result(time.monotonic())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.current.done():
            self.current.set_exception(ConnectionError(f"closed after {len(self._seen)} of {self._expected} alerts"))


def _end_of_frame(data: bytes, place: int) -> tuple[int, int] | None:
    """Where the payload of the server's frame at `place` begins and ends, if all of it is there."""
    if len(data) < place + 2:
        return None
    begin, size = place + 2, data[place + 1]
    if size >= 126:
        begin += 2 if size == 126 else 8
        size = int.from_bytes(data[place + 2 : begin], "big")
    return (begin, begin + size) if len(data) >= begin + size else None


@dataclass(slots=True)
class Storm:
    """What became of the clients: how long each took to be current, who was not, and what the server worked for it."""

    took_s: list[float] = field(default_factory=list)
    short: list[str] = field(default_factory=list)
    server_cpu_s: float = 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which so many clients (0..1) were current."""
        return sorted(self.took_s)[min(len(self.took_s) - 1, int(share * len(self.took_s)))]


async def storm(server: LiveServer, clients: int, expected: int, request: Callable[[int], dict[str, Any]]) -> Storm:
    """Connects all clients at once; each sends its request and waits for so many different alerts."""
    loop = asyncio.get_running_loop()
    frames = [frame(TEXT, orjson.dumps(request(number))) for number in range(clients)]
    upgrades = [handshake("/?v=2", token=watcher_token(name=f"user-{number}")) for number in range(clients)]
    result, cpu_s, began = Storm(), _cpu_s(server), time.monotonic()

    async def come_back(number: int) -> None:
        client = ReturningClient(upgrades[number], frames[number], expected)
        try:
            await loop.create_connection(lambda: client, "127.0.0.1", server.port)
            async with asyncio.timeout(GIVEN_UP_S):
                result.took_s.append(await client.current - began)
        except (OSError, TimeoutError) as error:
            result.short.append(f"user-{number}: {error!r}")
        came.append(client)

    came: list[ReturningClient] = []
    await asyncio.gather(*(come_back(number) for number in range(clients)))
    result.server_cpu_s = _cpu_s(server) - cpu_s
    for client in came:
        client.transport.close()
    return result


def _cpu_s(server: LiveServer) -> float:
    """How long the server's process has worked so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def post_missed(server: LiveServer, name: str, calls: int, count: int) -> None:
    """So many alerts of each of the calls `name 0`, `name 1` …, posted while nobody listens."""
    numbers = [(call, number) for number in range(count) for call in range(calls)]
    alerts = [an_alert(f"{name} {call}", kind=f"{number}", data=DATA) for call, number in numbers]
    for start in range(0, len(alerts), AT_ONCE):
        server.post(*alerts[start : start + AT_ONCE])
