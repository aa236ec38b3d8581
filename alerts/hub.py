"""One per process: which subscriber follows which call, and the channel groups that this needs."""

import asyncio
import logging
from collections import OrderedDict
from typing import Any

from channels.layers import get_channel_layer

from alerts import publish
from alerts.access import Principal
from alerts.subscriber import Subscriber

logger = logging.getLogger(__name__)
CALLS_REMEMBERED = 10_000
V1_HIDES = frozenset({"connection", "disconnection"})


class Hub:
    """The process's only member of the channel layer's groups, handing alerts to its subscribers."""

    def __init__(self) -> None:
        self.draining = False
        self._subscribers: set[Subscriber] = set()
        self._everywhere: set[Subscriber] = set()  # never subscribed: every call they may see
        self._see_all: set[Subscriber] = set()  # get alerts about no call, whatever they follow
        self._by_group: dict[str, set[Subscriber]] = {}
        self._joined: set[str] = set()
        self._joining = asyncio.Lock()
        self._channel = ""
        self._task: asyncio.Task[None] | None = None
        self._last_seq: OrderedDict[str, int] = OrderedDict()  # of the calls last heard of

    def subscribers(self) -> tuple[Subscriber, ...]:
        """Those connected now."""
        return tuple(self._subscribers)

    async def add(self, subscriber: Subscriber, call_id: str | None = None) -> None:
        """Takes a subscriber in: to follow one call, or, until it chooses, every call it may see."""
        self._subscribers.add(subscriber)
        if subscriber.principal.everything:
            self._see_all.add(subscriber)
        if call_id:
            await self.follow(subscriber, call_id)
        else:
            self._everywhere.add(subscriber)
            await self._settle(publish.ALL_CALLS)

    async def follow(self, subscriber: Subscriber, call_id: str) -> None:
        """From now on only the chosen calls, and this is one of them."""
        if subscriber not in self._subscribers:
            return  # it was let go while its rights were looked up
        self._everywhere.discard(subscriber)
        subscriber.calls.add(call_id)
        self._by_group.setdefault(publish.group_of(call_id), set()).add(subscriber)
        await self._settle(publish.group_of(call_id))
        await self._settle(publish.ALL_CALLS)

    async def unfollow(self, subscriber: Subscriber, call_id: str) -> None:
        """No longer this call; with the last one gone, none."""
        if call_id in subscriber.calls:
            subscriber.calls.discard(call_id)
            self._forget(subscriber, call_id)
            await self._settle(publish.group_of(call_id))

    async def change(self, subscriber: Subscriber, principal: Principal) -> None:
        """The rights of a subscriber are others now; what it follows has been looked through by who says so."""
        if subscriber not in self._subscribers:
            return
        subscriber.principal = principal
        (self._see_all.add if principal.everything else self._see_all.discard)(subscriber)
        await self._settle(publish.ALL_CALLS)

    async def remove(self, subscriber: Subscriber) -> None:
        """Lets a subscriber go."""
        subscriber.stop()
        if subscriber not in self._subscribers:
            return
        for members in (self._subscribers, self._everywhere, self._see_all):
            members.discard(subscriber)
        for call_id in tuple(subscriber.calls):
            self._forget(subscriber, call_id)
            await self._settle(publish.group_of(call_id))
        await self._settle(publish.ALL_CALLS)

    def _forget(self, subscriber: Subscriber, call_id: str) -> None:
        group = publish.group_of(call_id)
        self._by_group[group].discard(subscriber)
        if not self._by_group[group]:
            del self._by_group[group]

    async def _settle(self, group: str) -> None:
        """Joins or leaves a group, by whether a subscriber needs it when its turn has come."""
        async with self._joining:
            layer = get_channel_layer()
            assert layer is not None, "settings always name a channel layer"
            if self._task is None:
                publish.attach(publish.Publisher(asyncio.get_running_loop()))
                self._channel = await layer.new_channel()
                self._task = asyncio.create_task(self._receive(layer))
            if self._needs(group) and group not in self._joined:
                await layer.group_add(group, self._channel)
                self._joined.add(group)
            elif not self._needs(group) and group in self._joined:
                await layer.group_discard(group, self._channel)
                self._joined.discard(group)

    def _needs(self, group: str) -> bool:
        if group == publish.ALL_CALLS:
            return bool(self._everywhere or self._see_all)
        return group in self._by_group

    async def _receive(self, layer: Any) -> None:
        while True:
            message = await layer.receive(self._channel)
            try:
                self._deliver(message)
            except Exception:  # one bad message must not end the deliveries of a process
                logger.exception("an alert could not be delivered")

    def _deliver(self, message: dict[str, Any]) -> None:
        """Hands an alert to everybody who wants it, once: it comes by its call's group and by that of all calls."""
        call_id, seq = message["call_id"], message["seq"]
        if seq <= self._last_seq.get(call_id, 0):
            return
        self._last_seq[call_id] = seq
        self._last_seq.move_to_end(call_id)
        if len(self._last_seq) > CALLS_REMEMBERED:
            self._last_seq.popitem(last=False)
        hidden = message["alert_type"] in V1_HIDES
        for subscriber in self._wanting(call_id, message["team"]):
            if not hidden or subscriber.version > 1:
                subscriber.put(message["body"])

    def _wanting(self, call_id: str, team: int | None) -> list[Subscriber]:
        if not call_id:
            return list(self._see_all)
        everywhere = [one for one in self._everywhere if one.principal.sees(call_id, team)]
        return [*self._by_group.get(publish.group_of(call_id), ()), *everywhere]

    async def drain(self, timeout_s: float) -> None:
        """Waits until what was published has been written to the subscribers that read."""
        await publish.drain()
        await asyncio.sleep(0.05)  # what the layer holds is received in the next turns of the loop
        waiting = [asyncio.ensure_future(subscriber.drain()) for subscriber in self._subscribers]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=timeout_s)
            for task in late:
                task.cancel()


_hub: Hub | None = None


def the_hub() -> Hub:
    """This process's hub, made on first use."""
    global _hub
    if _hub is None:
        _hub = Hub()
    return _hub
