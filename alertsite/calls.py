"""A call that is being heard, and the streams that bring its audio: one after the other, with gaps between them."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from alerts.writer import now_ms
from alertsite.reporter import CallReporter
from analysis import CallBank
from analysis.bank import MAX_GAP_S, CallStats
from analysis.ingest.events import Audio, Gap, Start
from analysis.media import Dismiss, Refused

logger = logging.getLogger(__name__)
HIGH_WATER_BYTES = 256 * 1024  # per stream; full means its socket is not read until the bank has caught up
PIECE_BYTES = 200  # of the inbox and its objects, for each piece
AHEAD_AT_MOST_S = 120  # how far silences may run ahead of the wall clock
LAGS_KEPT = 600  # ticks, about the last minute of a call

Job = Callable[[CallBank, Any], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may be without audio. Seconds.

    Attributes:
        continuous_s: until a stream is lost that sends even while a call is held.
        held_s: until one is lost that sends nothing then.
        another_s: until another stream may take over without being refused as a second one.
        resume_s: how long a lost call waits for another stream before it is over.
        look_s: how often that is looked at. A process that stood still for a while counts one look, so that it does
            not take all its calls for lost.
    """

    continuous_s: float = 10.0
    held_s: float = 60.0
    another_s: float = 3.0
    resume_s: float = 30.0
    look_s: float = 0.5


class Phase(StrEnum):
    """Where in its life a call is. Heard and lost follow each other any number of times."""

    OPENING = "opening"
    HEARD = "heard"
    LOST = "lost"
    ENDING = "ending"


class HeardCall:
    """A call in the bank. All but `reporter` belongs to the event loop.

    Args:
        start: of its first stream.
        put: queues work for the bank's thread, in order.
        end: has the call ended.
    """

    def __init__(
        self,
        start: Start,
        patience: Patience,
        put: Callable[[Job, Any], None],
        end: Callable[["HeardCall", str], Coroutine[Any, Any, None]],
    ) -> None:
        self.call_id = start.call_id
        self.channels = start.channels
        self.protocol = start.protocol
        self.reporter = CallReporter(start.call_id, now_ms())  # the bank's thread only
        self.stream: HeardStream | None = None
        self.over = asyncio.Event()
        self.lags_ms: deque[float] = deque(maxlen=LAGS_KEPT)
        self.worst_lag_ms = 0.0
        self.put = put
        self.end = end
        self._patience = patience
        self._phase = Phase.OPENING
        self._failed = False
        self._silent_s = 0.0  # since the last audio, or since it was lost
        self._last_audio = time.monotonic()

    @property
    def phase(self) -> Phase:
        return self._phase

    def _become(self, phase: Phase) -> None:
        assert self._phase is not Phase.ENDING, "a call that ends does nothing else"
        logger.debug("call %s: %s -> %s", self.call_id, self._phase, phase)
        self._phase = phase
        self._silent_s = 0.0

    @property
    def takes_another(self) -> bool:
        """Whether another stream may go on with this call, since the one it has is silent, or it has none."""
        silent = self._phase is Phase.HEARD and self._silent_s >= self._patience.another_s
        return silent or self._phase is Phase.LOST

    def begin(self, stream: "HeardStream") -> None:
        """Audio comes by this stream from now on."""
        self.stream = stream
        self.protocol = stream.start.protocol
        self._last_audio = time.monotonic()

    def opened(self) -> None:
        """The bank and the database know the call."""
        self._become(Phase.HEARD)
        self.tell_started()

    def go_on(self, stream: "HeardStream") -> Gap:
        """Audio comes by another stream; returns what was missed until now."""
        if self._phase is Phase.HEARD:
            self.lose("another stream came")
        earlier, gap = self.stream, self._missed(stream)
        self._become(Phase.HEARD)
        self.begin(stream)
        if earlier:
            earlier.dismiss(Refused(1008, f"call {self.call_id[:80]!r} goes on in another stream"))
        return gap

    def spoke(self, stream: "HeardStream") -> None:
        """Audio has come. A stream that was taken for lost goes on with a gap, unless it says itself where it is."""
        if self._phase is Phase.LOST:
            self._become(Phase.HEARD)
            if not stream.start.continuous:
                stream.put(self._missed(stream))
            self.tell_started("resumed")
        self._silent_s = 0.0
        self._last_audio = time.monotonic()

    def _missed(self, stream: "HeardStream") -> Gap:
        return Gap(round((time.monotonic() - self._last_audio) * stream.start.sample_rate), "lost")

    async def leave(self, stream: "HeardStream", reason: str) -> None:
        """A stream's socket is over: its call too, unless it broke or another stream has taken over."""
        if self.stream is not stream:
            return
        if reason != "lost":
            await self.end(self, reason)
            return
        self.stream = None
        if self._phase is Phase.HEARD:
            self.lose("its connection broke")

    def lose(self, reason: str) -> None:
        """No audio comes; the call waits for another stream."""
        self._become(Phase.LOST)
        self.put(lambda bank, protocol: self.reporter.lost(protocol, reason), self.protocol)

    def look(self) -> bool:
        """Time has passed: a quiet call gets lost. False: it has waited long enough for another stream."""
        if self._phase not in (Phase.HEARD, Phase.LOST) or (self.stream and self.stream.is_full):
            return True  # the silence is ours
        self._silent_s += self._patience.look_s
        if self._phase is Phase.LOST:
            return self._silent_s < self._patience.resume_s
        continuous = self.stream is not None and self.stream.start.continuous
        quiet_s = self._patience.continuous_s if continuous else self._patience.held_s
        if self._silent_s >= quiet_s:
            self.lose(f"no audio for {quiet_s:g} s")
        return True

    def end_begins(self) -> None:
        """From now on nothing is taken any more."""
        self._become(Phase.ENDING)
        stream, self.stream = self.stream, None
        if stream:
            stream.dismiss(Refused(4408, "No audio for too long, the call is taken for over"))

    def tell_started(self, reason: str = "") -> None:
        """Has it told that its stream has started."""
        self.put(lambda bank, protocol: self.reporter.started(protocol, reason), self.protocol)

    def hear_the_rest(self, bank: CallBank, reason: str) -> CallStats | None:
        """Closes the call in the bank and reports what that brings, and the end; tells what was heard in all."""
        try:
            found = bank.close(self.call_id)
            for _, result in bank.results:
                self.reporter.take(result)
            for finding in found:
                self.reporter.take(finding)
            self.reporter.summarise(bank.stats(self.call_id))
            return bank.stats(self.call_id)
        except Exception:
            logger.exception("the rest of a call could not be heard")
            self.reporter.fault(*NOT_HEARD)
            return None
        finally:
            self.reporter.close()
            self.reporter.ended(self.protocol, reason)

    def fail(self, failure: Exception) -> None:
        """The bank had to set the call aside; told once. The bank's thread only."""
        if not self._failed:
            logger.error("call %s cannot be heard any more", self.call_id, exc_info=failure)
            self._failed = True
        self.reporter.fault(*NOT_HEARD)

    def caught_up(self, lag_ms: float) -> None:
        """The bank has heard what waited, `lag_ms` after it came."""
        self.lags_ms.append(lag_ms)
        self.worst_lag_ms = max(self.worst_lag_ms, lag_ms)


class HeardStream:
    """One stream of a call: written by the event loop, taken by the bank's thread."""

    def __init__(self, call: HeardCall, start: Start, dismiss: Dismiss) -> None:
        self.start = start
        self.dismiss = dismiss
        self._call = call
        self._began = time.monotonic()
        self._silent_samples: Counter[int | None] = Counter()  # by channel
        self._arrived: float | None = None  # when the audio that waits longest came, monotonic s
        self._taken_bytes = 0  # counted by the bank's thread
        self._written_bytes = 0  # counted by the event loop
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()

    def write(self, event: Audio | Gap) -> bool:
        """Takes a piece of the call; False: the bank is behind, wait with `drain` before reading on.

        Raises:
            Refused: 1003 when silences add up to far more than the time that has passed; hearing hours of nothing
                would keep every other call waiting.
        """
        if self._call.stream is not self:
            return True  # another stream has taken over, or the call is over; this one's socket is being closed
        if isinstance(event, Gap):
            self._check_clock(event)
        self._call.spoke(self)
        if self._arrived is None:
            self._arrived = time.monotonic()
        self.put(event)
        return not self.is_full

    def put(self, event: Audio | Gap) -> None:
        """Queues a piece for the bank."""
        self._written_bytes += _size(event)
        self._call.put(self._into, event)

    def _check_clock(self, gap: Gap) -> None:
        self._silent_samples[gap.channel] += gap.samples
        silent_s = self._silent_samples[gap.channel] / self.start.sample_rate
        passed_s = time.monotonic() - self._began
        if silent_s > passed_s + AHEAD_AT_MOST_S:
            raise Refused(1003, f"{silent_s:.0f} s without audio in {passed_s:.0f} s; the stream's clock is wrong")

    @property
    def is_full(self) -> bool:
        """Whether as much waits for the bank as may."""
        return self._written_bytes - self._taken_bytes >= HIGH_WATER_BYTES

    async def drain(self) -> None:
        """Waits until the bank has taken what waits."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    def _into(self, bank: CallBank, event: Any) -> None:
        self._taken_bytes += _size(event)
        try:
            if isinstance(event, Audio):
                bank.push(self.start.call_id, event.data, event.channel)
                return
            at_once = MAX_GAP_S * self.start.sample_rate
            for passed in range(0, event.samples, at_once):
                bank.gap(self.start.call_id, min(at_once, event.samples - passed), event.channel)
        except Exception:
            logger.exception("a piece of a call could not be taken")
            self._call.reporter.fault(*NOT_HEARD)

    def take_arrival(self) -> float | None:
        """When the audio that has waited longest came, monotonic s; from here on a new wait counts."""
        arrived, self._arrived = self._arrived, None
        return arrived

    def caught_up(self, lag_ms: float) -> None:
        """The bank has heard what waited, `lag_ms` after it came; the socket may go on."""
        self._call.caught_up(lag_ms)
        self._loop.call_soon_threadsafe(self._room.set)

    async def close(self, reason: str) -> None:
        """The end of the stream. It is the call's, too, unless it was `lost`."""
        await self._call.leave(self, reason)


NOT_HEARD = (
    "A part of this call could not be heard: the engine of this server failed.",
    "Listen to the call yourself, and look for the cause in the server's log.",
)


def _size(event: Audio | Gap) -> int:
    """What a waiting piece takes, so that many tiny ones are bounded like a few large ones."""
    return PIECE_BYTES + (len(event.data) if isinstance(event, Audio) else 0)
