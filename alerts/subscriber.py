"""One client of the alert socket: who it is, what it follows, and what is put out for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from alerts import frames
from alerts.access import Principal
from alerts.outlet import DirectOutlet, Door, Outlet, QueuedOutlet
from alerts.publish import Published
from alerts.replay import Replay

EARLY_AT_MOST = 1_000  # alerts before the greeting; more means the client has to come again
Send = Callable[[str], Coroutine[Any, Any, None]]
Close = Callable[[int, str], Coroutine[Any, Any, None]]
EVERY_CALL = None  # in the place of a call's id


class Subscriber:
    """One client. What is put never waits: a client that does not read holds up nobody and is let go.

    `send` writes one text frame and is used where the server offers no `door`. `close` ends the socket with a code
    and a reason.
    """

    def __init__(
        self,
        principal: Principal,
        send: Send,
        close: Close,
        *,
        version: int = 1,
        door: Door | None = None,
        greeted: bool = True,
    ) -> None:
        self.principal = principal
        self.version = version
        self.close = close
        self.calls: set[str] = set()  # what it follows; kept by the hub
        self._outlet: Outlet = DirectOutlet(door, self._too_slow) if door else QueuedOutlet(send, self._too_slow)
        self._early: list[Published] | None = None if greeted else []  # live alerts of the moment before `greet`
        self.turn = asyncio.Lock()
        self.waiting_bytes = 0
        self._replays: dict[str | None, Replay] = {}  # by call, or for every call
        self._stopped = False
        self._leaving: asyncio.Task[None] | None = None

    def put(self, text: str) -> None:
        """One frame more."""
        if not self._stopped:
            self._outlet.put(text)

    def greet(self, text: str) -> None:
        """The first frame. From here on the client counts on every alert, so it comes when the hub serves it."""
        self.put(text)
        early, self._early = self._early or [], None
        for alert in early:
            self.take(alert)

    def take(self, alert: Published) -> None:
        """A live alert, or a change of one: at once, or behind the greeting and what is sent again."""
        if self._early is not None:
            self._early.append(alert)
            if len(self._early) > EARLY_AT_MOST:
                self._too_slow()
            return
        replay = (self._replays.get(alert.call_id) or self._replays.get(EVERY_CALL)) if self._replays else None
        if replay is None:
            self.put(alert.body)
        else:
            replay.take(alert)

    def replay_of(self, call_id: str | None) -> Replay | None:
        """The replay that a call's live alerts, or every call's, pass through."""
        return self._replays.get(call_id)

    def let_pass_through(self, replay: Replay, call_id: str | None) -> None:
        """From now on live alerts of a call, or of every call, go to a replay first."""
        self.end_replay(call_id)
        if self._stopped:
            replay.stop()
        else:
            self._replays[call_id] = replay

    def end_replay(self, call_id: str | None) -> None:
        """Nothing is sent again any more."""
        if call_id in self._replays:
            self._replays.pop(call_id).stop()

    def caught_up(self, replay: Replay) -> None:
        """Live alerts need not pass through the replay any more."""
        self._replays = {call_id: one for call_id, one in self._replays.items() if one is not replay}

    async def taken(self) -> None:
        """Waits until the client has taken most of what was put."""
        await self._outlet.taken()

    def call_lost(self, call_id: str) -> None:
        """It may no longer see a call that it followed. Version 1 has no frame for that: it is closed."""
        if self.version == 1:
            self.end(4003, "Call not allowed")
        else:
            self.put(frames.encoded({"type": "unsubscribed", "callId": call_id, "code": "call_not_allowed"}))

    def end(self, code: int, reason: str) -> None:
        """Close the socket from our side, without waiting; nothing more is taken."""
        self.stop()
        if self._leaving is None:
            self._leaving = asyncio.create_task(self.close(code, reason))

    async def drain(self) -> None:
        """Waits until all that was put has been handed to the server."""
        await self._outlet.drain()

    def stop(self) -> None:
        """Takes nothing more; what was put is still written."""
        self._stopped = True
        for call_id in tuple(self._replays):
            self.end_replay(call_id)

    def drop(self) -> None:
        """The client has gone."""
        self._outlet.drop()

    def _too_slow(self) -> None:
        self.end(4008, "Too slow")
