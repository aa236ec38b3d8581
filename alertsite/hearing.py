"""The binding: the only module that knows both what hears (`analysis`) and what alerts (`alerts`).

Streams of calls come from the media sockets, their audio is heard by one bank in a thread of its own, and what it
finds is reported as alerts. The event loop only appends to an inbox; the thread empties it ten times a second.
"""

import asyncio
import contextlib
import logging
import socket
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings

from alerts import dispatch, wording
from alerts.writer import Report, Stored, now_ms
from analysis import CallBank, Finding
from analysis.bank import MAX_GAP_S, CallStats
from analysis.findings import State
from analysis.ingest.events import Audio, Gap, Start
from analysis.media import Refused

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
TICK_S = 0.1
HIGH_WATER_BYTES = 256 * 1024  # per stream; full means its socket is not read until the bank has caught up
PIECE_BYTES = 200  # of the inbox and its objects, for each piece
AHEAD_AT_MOST_S = 120  # how far silences may run ahead of the wall clock
LAGS_KEPT = 600  # ticks, about the last minute of a call


def heard_by() -> str:
    """The name of this server, the same again after a restart; one process of it hears."""
    return f"{socket.gethostname()}:{settings.PORT}"


class HeardStream:
    """One stream of a call: written by the event loop, taken by the bank's thread."""

    def __init__(self, hearing: "Hearing", start: Start) -> None:
        self.start = start
        self.began_ms = now_ms()
        self._began = time.monotonic()
        self._silent_samples: Counter[int | None] = Counter()  # by channel
        self.lags_ms: deque[float] = deque(maxlen=LAGS_KEPT)
        self.worst_lag_ms = 0.0
        self._arrived: float | None = None  # when the audio that waits longest came, monotonic s
        self._taken_bytes = 0  # counted by the bank's thread
        self._written_bytes = 0  # counted by the event loop
        self._hearing = hearing
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._reported: dict[str, list[UUID]] = {}  # open findings and the alerts they raised; the bank's thread only
        self._last_write: Future[list[Stored]] | None = None

    def write(self, event: Audio | Gap) -> bool:
        """Takes a piece of the call; False: the bank is behind, wait with `drain` before reading on.

        Raises:
            Refused: 1003 when silences add up to far more than the time that has passed; hearing hours of nothing
                would keep every other call waiting.
        """
        if isinstance(event, Gap):
            self._check_clock(event)
        if self._arrived is None:
            self._arrived = time.monotonic()
        self._written_bytes += _size(event)
        self._hearing.put(self._into, event)
        return self._waiting_bytes < HIGH_WATER_BYTES

    def _check_clock(self, gap: Gap) -> None:
        self._silent_samples[gap.channel] += gap.samples
        silent_s = self._silent_samples[gap.channel] / self.start.sample_rate
        passed_s = time.monotonic() - self._began
        if silent_s > passed_s + AHEAD_AT_MOST_S:
            raise Refused(1003, f"{silent_s:.0f} s without audio in {passed_s:.0f} s; the stream's clock is wrong")

    @property
    def _waiting_bytes(self) -> int:
        return self._written_bytes - self._taken_bytes

    async def drain(self) -> None:
        """Waits until the bank has taken what waits."""
        while self._waiting_bytes >= HIGH_WATER_BYTES:
            self._room.clear()
            await self._room.wait()

    def _into(self, bank: CallBank, event: Any) -> None:
        self._taken_bytes += _size(event)
        if isinstance(event, Audio):
            bank.push(self.start.call_id, event.data, event.channel)
        else:
            at_once = MAX_GAP_S * self.start.sample_rate
            for passed in range(0, event.samples, at_once):
                bank.gap(self.start.call_id, min(at_once, event.samples - passed), event.channel)

    def take_arrival(self) -> float | None:
        """When the audio that has waited longest came, monotonic s; from here on a new wait counts."""
        arrived, self._arrived = self._arrived, None
        return arrived

    def caught_up(self, lag_ms: float) -> None:
        """The bank has heard what waited, `lag_ms` after it came; the socket may go on."""
        self.lags_ms.append(lag_ms)
        self.worst_lag_ms = max(self.worst_lag_ms, lag_ms)
        self._loop.call_soon_threadsafe(self._room.set)

    def report(self, finding: Finding) -> None:
        """Turns one step of a finding into an alert, or into the end of those it raised."""
        event = finding.event
        if finding.state is State.CLOSED:
            ids = self._reported.pop(finding.key)
            ended_at = self.began_ms + event.timestamp + event.duration
            self._last_write = dispatch.end(ids, ended_at, event.duration)
            return
        raised = self._reported.setdefault(finding.key, [])
        record = {name: value for name, value in event.record().items() if name != "record"}
        report = self._worded(
            wording.for_event(record),
            channel=event.channel,
            occurred_at=self.began_ms + event.timestamp,
            repeat_of=raised[0] if raised else None,
        )
        raised.append(report.id)
        self._last_write = dispatch.report(report)

    def report_safely(self, finding: Finding) -> None:
        """Reports a finding; if that fails, the findings of other calls are reported all the same."""
        try:
            self.report(finding)
        except Exception:
            logger.exception("a finding could not be reported")

    def report_stream(self, kind: str, reason: str) -> None:
        """Tells that the stream `started` or `ended`."""
        words = wording.for_stream(kind, self.start.protocol, reason)
        self._last_write = dispatch.report(self._worded(words, occurred_at=now_ms()))

    def _worded(self, words: wording.Wording, **more: Any) -> Report:
        return Report(
            type=words.type,
            severity=words.severity,
            title=words.title,
            message=words.message,
            call_id=self.start.call_id,
            kind=words.kind,
            data=words.data,
            actionable=words.actionable,
            **more,
        )

    def hear_the_rest(self, bank: CallBank, reason: str) -> CallStats:
        """Closes the call in the bank and reports what that brings, and the end; tells what was heard in all."""
        for finding in bank.close(self.start.call_id):
            self.report_safely(finding)
        self.report_stream("ended", reason)
        return bank.stats(self.start.call_id)

    async def stored(self) -> None:
        """Waits until all that was reported is committed, or was found, and logged, to be no fit for storing."""
        if self._last_write is not None:
            with contextlib.suppress(Exception):
                await asyncio.wrap_future(self._last_write)

    async def close(self, reason: str) -> None:
        """The end of the stream: what is left is heard, open findings end, the call's row is closed."""
        await self._hearing.end(self, reason)


def _size(event: Audio | Gap) -> int:
    """What a waiting piece takes, so that many tiny ones are bounded like a few large ones."""
    return PIECE_BYTES + (len(event.data) if isinstance(event, Audio) else 0)


class Hearing:
    """The calls that this process hears, and the thread that hears them."""

    def __init__(self) -> None:
        self._bank = CallBank()
        self._streams: dict[str, HeardStream] = {}
        self._inbox: deque[tuple[Callable[[CallBank, Any], None], Any]] = deque()  # bounded by HIGH_WATER_BYTES
        self._wake = threading.Event()
        self._cleaning: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    def put(self, job: Callable[[CallBank, Any], None], given: Any) -> None:
        """Queue work for the bank's thread: `job(bank, given)`."""
        self._inbox.append((job, given))

    async def open(self, start: Start) -> HeardStream:
        """Begin to hear a stream of a call.

        Raises:
            Refused: 4401 if its endpoint may not hear the call, 1008 if it is being heard already, 1003 if it
                cannot be heard at its rate.
        """
        self._begin()
        if start.endpoint and not await database_sync_to_async(dispatch.may_open)(start.call_id, start.endpoint):
            raise Refused(4401, "Unauthorised", "the call is another team's")
        if start.call_id in self._streams:
            raise Refused(1008, f"call {start.call_id[:80]!r} is being heard already")
        stream = self._streams[start.call_id] = HeardStream(self, start)
        try:
            await self._ask(lambda bank: bank.open(start.call_id, start.sample_rate, start.channels, start.encoding))
            await database_sync_to_async(dispatch.open_call)(
                start.call_id, start.protocol, start.channels, heard_by(), start.endpoint
            )
        except ValueError as error:
            del self._streams[start.call_id]
            raise Refused(1003, str(error)) from error
        except BaseException:  # the socket went meanwhile: what was begun is ended
            task = asyncio.create_task(self.end(stream, "close"))
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)
            raise
        self.put(lambda bank, kind: stream.report_stream(kind, ""), "started")
        return stream

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._hear, name="call-bank", daemon=True)
            self._thread.start()

    async def end(self, stream: HeardStream, reason: str) -> None:
        """Hear what is left of a stream, report its findings and close its row."""
        try:
            heard = await self._ask(lambda bank: stream.hear_the_rest(bank, reason))
            self._log_end(stream, heard, reason)
            await stream.stored()
            await database_sync_to_async(dispatch.close_call)(stream.start.call_id)
        finally:
            self._streams.pop(stream.start.call_id, None)

    def _log_end(self, stream: HeardStream, heard: CallStats, reason: str) -> None:
        lags = stream.lags_ms or [0.0]
        logger.info(
            "call %s ended (%s): heard %d ms, missing %s ms, late %s ms, lag median %.0f ms, worst %.0f ms",
            stream.start.call_id,
            reason,
            heard.heard_ms,
            "/".join(map(str, heard.missing_ms.values())),
            "/".join(map(str, heard.late_ms.values())),
            statistics.median(lags),
            stream.worst_lag_ms,
        )

    async def _ask(self, question: Callable[[CallBank], Answer]) -> Answer:
        """Have the bank's thread do something now, after all that was put before."""
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()  # whoever stops waiting for it takes nothing back
        self.put(_answer, (question, answer))
        self._wake.set()
        return await asyncio.wrap_future(answer)

    def _hear(self) -> None:
        """The bank's thread: take what waits, hear it, report. Fixed deadlines, so that ticks do not drift."""
        deadline = time.monotonic()
        while True:
            deadline = max(deadline + TICK_S, time.monotonic())
            self._wake.wait(max(0.0, deadline - time.monotonic()))
            self._wake.clear()
            try:
                self._tick()
            except Exception:
                logger.exception("the bank could not hear what it was given")

    def _tick(self) -> None:
        streams = dict(self._streams)
        arrivals = {stream: stream.take_arrival() for stream in streams.values()}
        for _ in range(len(self._inbox)):
            job, given = self._inbox.popleft()
            try:
                job(self._bank, given)
            except Exception:  # of one call; the others are heard all the same
                logger.exception("a piece of a call could not be taken")
        try:
            for call_id, finding in self._bank.tick():
                streams[call_id].report_safely(finding)
        finally:
            now = time.monotonic()
            for stream, arrived in arrivals.items():
                if arrived is not None:
                    stream.caught_up((now - arrived) * 1000)


def _answer(bank: CallBank, asked: tuple[Callable[[CallBank], Answer], "Future[Answer]"]) -> None:
    question, answer = asked
    try:
        answer.set_result(question(bank))
    except Exception as error:
        answer.set_exception(error)


_hearing: Hearing | None = None


def the_hearing() -> Hearing:
    """What this process hears with, made on first use."""
    global _hearing
    if _hearing is None:
        _hearing = Hearing()
    return _hearing
