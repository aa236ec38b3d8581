"""Which groups of the channel layer this process is in: one task joins, keeps and leaves them."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)
KEPT_S = 60.0  # after the last subscriber, so that one who comes back costs nothing
MAX_KEPT = 10_000  # groups without a subscriber; full means that the oldest is left at once
HEARTBEAT_S = 10.0
REJOINED_S = 3600.0  # layers forget a group that nobody joined for a day
LAYER_WITHIN_S = 5.0
JOINED_WITHIN_S = 2.0  # what a subscriber waits for a layer that is away
RETRY_S = (0.1, 0.5, 2.0)  # the last is repeated
TURN_BYTES = 64 * 1024  # handed over in one turn of the event loop; subscribers write in between
HEARTBEAT = "heartbeat"


class Membership:
    """The groups that are wanted and those that are joined, and the channel by which their messages come.

    Args:
        receive: takes a message of a group, and says how many bytes it handed on.
    """

    def __init__(self, receive: Callable[[dict[str, Any]], int]) -> None:
        self._receive = receive
        self._wanted: set[str] = set()
        self._kept: OrderedDict[str, float] = OrderedDict()  # no longer wanted: when to leave, by the loop's clock
        self._joined: set[str] = set()
        self._waiting: dict[str, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._channel = ""
        self._answered = True  # the last heartbeat came back
        self._beat_at = 0.0  # when the next is due, by the loop's clock
        self._rejoin_at = 0.0
        self._away = False
        self._receiving: asyncio.Task[None] | None = None

    async def join(self, group: str) -> None:
        """Wants the group and waits until it is joined, or for a moment: if the layer is away it is joined later."""
        self._wanted.add(group)
        self._kept.pop(group, None)
        if group in self._joined:
            return
        joined = self._waiting.setdefault(group, asyncio.Event())
        self._wake.set()
        if self._away:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(joined.wait(), JOINED_WITHIN_S)

    def leave(self, group: str) -> bool:
        """Nobody needs the group now; it is kept for a while. False: it was not wanted anyway."""
        if group not in self._wanted:
            return False
        self._wanted.remove(group)
        self._kept[group] = asyncio.get_running_loop().time() + KEPT_S
        if len(self._kept) > MAX_KEPT:
            self._wake.set()
        return True

    async def run(self) -> None:
        """Reconciles what is joined with what is wanted, for ever: trouble of the layer is waited out."""
        failed = 0
        while True:
            try:
                await self._beat()
                await self._reconcile()
                failed, self._away = 0, False
            except Exception:
                if not failed:
                    logger.exception("the channel layer is away; alerts come from the database meanwhile")
                failed, self._away = failed + 1, True
            pause_s = RETRY_S[min(failed, len(RETRY_S)) - 1] if failed else HEARTBEAT_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            self._wake.clear()

    async def stop(self) -> None:
        """Receives nothing more."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)

    async def _reconcile(self) -> None:
        layer: Any = get_channel_layer()
        if not self._wanted and not self._joined:
            return
        if not self._channel:
            async with asyncio.timeout(LAYER_WITHIN_S):
                self._channel = await layer.new_channel()
            self._receiving = asyncio.create_task(self._receive_all(layer, self._channel))
        for group in self._wanted - self._joined:
            async with asyncio.timeout(LAYER_WITHIN_S):
                await layer.group_add(group, self._channel)
            self._joined.add(group)
            if group in self._waiting:
                self._waiting.pop(group).set()
        for group in self._to_leave():
            if group in self._joined:
                async with asyncio.timeout(LAYER_WITHIN_S):
                    await layer.group_discard(group, self._channel)
            self._forget(group)

    def _to_leave(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        over = len(self._kept) - MAX_KEPT
        return [group for index, (group, due) in enumerate(self._kept.items()) if due <= now or index < over]

    def _forget(self, group: str) -> None:
        self._joined.discard(group)
        if group in self._kept:  # else it was wanted again meanwhile, and is joined in the next round
            del self._kept[group]
            self._waiting.pop(group, None)
        else:
            self._wake.set()

    async def _beat(self) -> None:
        """Sends this process a message through the layer. One that did not come back: all groups are joined anew."""
        now = asyncio.get_running_loop().time()
        if not self._channel or now < self._beat_at:
            return
        layer: Any = get_channel_layer()
        self._beat_at = now + HEARTBEAT_S
        if not self._answered:
            logger.warning("the channel layer delivers nothing; its groups are joined anew")
            await self._start_over(layer)
            return
        if now >= self._rejoin_at:
            self._rejoin_at = now + REJOINED_S
            self._joined.clear()  # joining what is joined refreshes it
        self._answered = False
        async with asyncio.timeout(LAYER_WITHIN_S):
            await layer.send(self._channel, {"type": HEARTBEAT})

    async def _start_over(self, layer: Any) -> None:
        await self.stop()
        self._channel, self._answered = "", True
        self._joined.clear()
        async with asyncio.timeout(LAYER_WITHIN_S):
            await layer.flush()

    async def _receive_all(self, layer: Any, channel: str) -> None:
        handed_bytes = 0
        while True:
            try:
                message = await layer.receive(channel)
                if message["type"] == HEARTBEAT:
                    self._answered = True
                else:
                    handed_bytes += self._receive(message)
            except Exception:  # one bad message must not end the deliveries of a process
                logger.exception("a message of the channel layer could not be delivered")
                await asyncio.sleep(RETRY_S[0])
            if handed_bytes >= TURN_BYTES:
                handed_bytes = 0
                await asyncio.sleep(0)
