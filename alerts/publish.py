"""The only sender to the channel layer: each stored alert goes to its call's group and to the group of all calls."""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass

from channels.layers import get_channel_layer

ALL_CALLS = "calls"


def group_of(call_id: str) -> str:
    """The group name of a call; ids are hashed, since group names take few characters and under 100 of them."""
    return "call." + hashlib.sha256(call_id.encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Published:
    """A stored alert on its way to subscribers: its place, who may see it, and its JSON, encoded once."""

    call_id: str
    team: int | None
    seq: int
    alert_type: str
    body: str


class Publisher:
    """Sends what the writer stored, in its order, on the event loop where this process's subscribers are."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._in_order = asyncio.Lock()
        self._last: Future[None] | None = None

    def publish(self, stored: Sequence[Published]) -> None:
        """Hand over, from any one thread; returns at once."""
        if stored and not self._loop.is_closed():
            self._last = asyncio.run_coroutine_threadsafe(self._send(stored), self._loop)

    async def _send(self, stored: Sequence[Published]) -> None:
        layer = get_channel_layer()
        assert layer is not None, "settings always name a channel layer"
        async with self._in_order:
            for alert in stored:
                message = {"type": "alert", **asdict(alert)}
                if alert.call_id:
                    await layer.group_send(group_of(alert.call_id), message)
                await layer.group_send(ALL_CALLS, message)

    async def drain(self) -> None:
        """Waits until everything handed over so far was sent."""
        if self._last is not None:
            await asyncio.wrap_future(self._last)


_publisher: Publisher | None = None


def attach(publisher: Publisher | None) -> None:
    """Names the publisher of this process; the hub does it when its first subscriber comes."""
    global _publisher
    _publisher = publisher


def publish(stored: Sequence[Published]) -> None:
    """Sends stored alerts to subscribers. With no hub started, nobody in this process listens."""
    if _publisher is not None:
        _publisher.publish(stored)


async def drain() -> None:
    """Waits until everything published so far has reached the channel layer."""
    if _publisher is not None:
        await _publisher.drain()
