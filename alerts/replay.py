"""One client's way back: what it missed is sent again at the pace it reads, and what comes live waits behind that."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol
from uuid import UUID

from alerts.access import Principal
from alerts.missed import Missed
from alerts.publish import Published
from alerts.repair import MAX_CALLS, Hole, Standing, missing
from alerts.shelf import Shelf
from alerts.threads import in_own_thread

logger = logging.getLogger(__name__)
MAX_WAITING = 1_000  # live alerts that wait for a client; more are dropped, and read again when it has come so far
MAX_WAITING_BYTES = 512 * 1024  # of them, for one client
PAGE = 20  # alerts that are read at once: of the largest, what may wait for one client
PIECE_BYTES = 64 * 1024  # sent before it is waited that the client takes it


class Receiver(Protocol):
    """The client, as far as a replay needs it."""

    principal: Principal
    waiting_bytes: int  # of live alerts, behind all its replays
    turn: asyncio.Lock  # one replay at a time

    def put(self, text: str) -> None:
        """Send a frame."""

    async def taken(self) -> None:
        """Wait until the client has taken what was put, but for a little."""

    def caught_up(self, replay: "Replay") -> None:
        """Live alerts need not pass through the replay any more."""

    def end(self, code: int, reason: str) -> None:
        """Close the socket."""


class Replay:
    """Live alerts pass through here from its making on: they wait, then follow what was missed, each once.

    Args:
        receiver: the client.
        standing: how far the hub has handed a call over.
        shelf: where alerts are read.
    """

    def __init__(self, receiver: Receiver, standing: Callable[[str], Standing], shelf: Shelf) -> None:
        self._receiver = receiver
        self._standing = standing
        self._shelf = shelf
        self._waiting: deque[Published] = deque()  # beyond MAX_WAITING all is dropped and noted
        self._dropped: dict[str, Standing] = {}  # by call: after this it was dropped, and is until it is read again
        self._reached: dict[str, int] = {}  # by call, where that is ahead of what the hub has handed over
        self._task: asyncio.Task[None] | None = None
        self._live = False
        self._stopped = False
        self._put_bytes = 0  # since it was last waited for the client

    def start(self, missed: Missed) -> None:
        """Sends what was missed, by a task of its own; then what waits; then all passes at once. Stopped: nothing."""
        if not self._stopped:
            self._reached = dict(missed.reached)
            self._task = asyncio.create_task(self._run(missed))

    def stop(self) -> None:
        """Sends nothing more."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
        self._forget_waiting()

    def take(self, alert: Published) -> None:
        """A live alert, or a change of one."""
        if self._live:
            self._pass_on(alert)
            self._leave_if_done()
        elif alert.call_id not in self._dropped:
            self._wait(alert)

    def _wait(self, alert: Published) -> None:
        self._waiting.append(alert)
        self._receiver.waiting_bytes += len(alert.body)
        if len(self._waiting) > MAX_WAITING or self._receiver.waiting_bytes > MAX_WAITING_BYTES:
            for dropped in self._waiting:
                after = self._dropped.get(dropped.call_id) or self._standing(dropped.call_id)
                self._dropped[dropped.call_id] = after.before(dropped)
            self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._receiver.waiting_bytes -= sum(len(alert.body) for alert in self._waiting)
        self._waiting.clear()

    def _pass_on(self, alert: Published) -> None:
        """Sends it, unless that was done here before the hub came to it."""
        reached = self._reached.get(alert.call_id, 0)
        if alert.update_no or alert.seq > reached:
            self._put(alert)
        if not alert.update_no and alert.seq >= reached:
            self._reached.pop(alert.call_id, None)

    def _put(self, alert: Published) -> None:
        if self._receiver.principal.sees(alert.call_id, alert.team):
            self._receiver.put(alert.body)
            self._put_bytes += len(alert.body)

    async def _run(self, missed: Missed) -> None:
        try:
            async with self._receiver.turn:
                await self._send_again(missed)
                while self._dropped or self._waiting:
                    await (self._make_up() if self._dropped else self._catch_up())
                self._go_live()
        except Exception:  # most likely the database is away: the client has to come again
            logger.exception("a subscriber could not be sent what it missed")
            self._receiver.end(1011, "Internal error")

    async def _send_again(self, missed: Missed) -> None:
        """What was missed, each alert followed by its last change; then the changes of those that it has."""
        for page in _pages(missed.alerts):
            for copy in await self._shelf.get(page, self._rights()):
                await self._send(copy.alert)
                if copy.change is not None:
                    await self._send(copy.change)
        for page in _pages(missed.changed):
            for copy in await self._shelf.get(page, self._rights()):
                if copy.change is not None:
                    await self._send(copy.change)

    def _rights(self) -> int:
        """The version of all rights as of which the client's are known; a change of them is noticed within a second."""
        as_of = self._receiver.principal.as_of
        return -1 if as_of is None else as_of

    async def _send(self, alert: Published) -> None:
        self._put(alert)
        if self._put_bytes >= PIECE_BYTES:
            self._put_bytes = 0
            await self._receiver.taken()

    async def _catch_up(self) -> None:
        """Sends some of what waits."""
        while self._waiting and self._put_bytes < PIECE_BYTES:
            alert = self._waiting.popleft()
            self._receiver.waiting_bytes -= len(alert.body)
            self._pass_on(alert)
        self._put_bytes = 0
        await self._receiver.taken()

    async def _make_up(self) -> None:
        """Reads what was dropped, and sends it; what comes live from now on waits again."""
        holes = {}
        for call_id, dropped_after in self._dropped.items():
            after = dropped_after.and_at_least(Standing(self._reached.get(call_id, 0)))
            holes[call_id] = Hole(call_id, self._standing(call_id).and_at_least(after), after)
        self._dropped.clear()
        while holes:
            some = dict(islice(holes.items(), MAX_CALLS))
            found = await in_own_thread(missing)(some, PAGE)
            for alert in (*found.alerts, *found.changes):
                hole = holes[alert.call_id]
                if alert.seq <= hole.to.seq:  # later ones wait, and so do their changes
                    await self._send(alert)
                holes[alert.call_id] = replace(hole, after=hole.after.with_one_more(alert))
            for call_id in some:
                if found.all_changes or holes[call_id].after.covers(holes[call_id].to):
                    del holes[call_id]

    def _go_live(self) -> None:
        self._live = True
        for call_id, seq in tuple(self._reached.items()):
            if self._standing(call_id).seq >= seq:
                del self._reached[call_id]
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        """With nothing waiting and nothing that the hub could send a second time, this is not needed any more."""
        if not self._reached:
            self._receiver.caught_up(self)


def _pages(wanted: Sequence[tuple[UUID, int]]) -> Iterator[Sequence[tuple[UUID, int]]]:
    return (wanted[start : start + PAGE] for start in range(0, len(wanted), PAGE))
