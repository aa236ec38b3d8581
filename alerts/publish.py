"""The only sender to the channel layer: what is stored of an alert goes to its call's group and that of all calls."""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from channels.layers import get_channel_layer

from alerts.models import Alert
from alerts.serializers import whole, wire

logger = logging.getLogger(__name__)
ALL_CALLS = "calls"
MAX_WAITING = 20_000  # alerts; full means the oldest is not sent, and hubs read it from the database


def group_of(call_id: str) -> str:
    """The group name of a call; ids are hashed, since group names take few characters and under 100 of them."""
    return "call." + hashlib.sha256(call_id.encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Published:
    """A stored alert, or a change of it, on its way to subscribers.

    Attributes:
        team: the key of the call's team, for who may see it.
        seq: the alert's place among those of the call.
        body: the frame's JSON, encoded once: the bare alert, or `alert.updated`.
        update_no: a change's place among those of the call's alerts, from 1; 0: it is no change but the alert.
    """

    call_id: str
    team: int | None
    seq: int
    alert_type: str
    body: str
    update_no: int = 0


def published(alert: Alert) -> Published:
    """A stored alert as it is sent, the same whether it was just written or read back."""
    assert alert.seq is not None, "only suppressed alerts have no seq"
    body = orjson.dumps(wire(alert, alert.call.call_id)).decode()
    return Published(alert.call.call_id, alert.call.team_id, alert.seq, alert.type, body)


def updated(alert: Alert) -> Published:
    """An alert that was sent, as it is after its last change."""
    assert alert.seq is not None, "nobody has a suppressed alert"
    assert alert.update_no is not None, "it has not changed"
    call = alert.call
    body = orjson.dumps({"type": "alert.updated", "alert": whole(alert, call.call_id)}).decode()
    return Published(call.call_id, call.team_id, alert.seq, alert.type, body, alert.update_no)


class Publisher:
    """Sends what the writer stored, in its order, on the event loop where this process's subscribers are.

    Sending is a hint that saves time: what the layer loses is read from the database by the hubs that miss it.
    So an error ends nothing, and nobody waits for the layer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Published] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing = False
        self._task = loop.create_task(self._send_what_waits())

    def publish(self, stored: Sequence[Published]) -> None:
        """Hand over, from any one thread; returns at once."""
        if stored and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, stored)

    def _take(self, stored: Iterable[Published]) -> None:
        self._waiting.extend(stored)
        self._idle.clear()
        self._wake.set()

    async def _send_what_waits(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._send(self._waiting.popleft())
            self._idle.set()

    async def _send(self, alert: Published) -> None:
        layer: Any = get_channel_layer()
        message = {"type": "alert", **asdict(alert)}
        try:
            await layer.group_send(group_of(alert.call_id), message)
            await layer.group_send(ALL_CALLS, message)
            self._failing = False
        except Exception:
            if not self._failing:
                logger.exception("alerts cannot be published; subscribers get them from the database")
            self._failing = True
            self._waiting.clear()  # the hubs have read it by the time the layer is back

    async def drain(self) -> None:
        """Waits until everything handed over so far was sent."""
        await asyncio.sleep(0)  # what the writer handed over last is taken in the next turn of the loop
        await self._idle.wait()

    def stop(self) -> None:
        """Nothing more is sent."""
        self._task.cancel()


_publisher: Publisher | None = None


def attach(publisher: Publisher | None) -> None:
    """Names the publisher of this process; the hub does it when it starts."""
    global _publisher
    _publisher = publisher


def publish(stored: Sequence[Published]) -> None:
    """Sends stored alerts to subscribers. A process without a hub, like a command, leaves that to the hubs' poll."""
    if _publisher is not None:
        _publisher.publish(stored)


async def drain() -> None:
    """Waits until everything published so far has reached the channel layer."""
    if _publisher is not None:
        await _publisher.drain()
