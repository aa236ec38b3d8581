"""The binding: calls come from media sockets and are heard by one bank, or by engines of others that are bound to them.

The bank has a thread of its own. The event loop only appends to an inbox; the thread empties it ten times a second.
"""

import asyncio
import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from django.db import DatabaseError, InterfaceError

from alerts import dispatch, told
from alerts.told import Post
from alertsite.calls import NOT_HEARD, HeardCall, HeardStream, Job, Patience, Phase
from alertsite.engines import Engines
from alertsite.identity import process_name
from alertsite.posts import of_item
from analysis import CallBank
from analysis.bank import CallStats
from analysis.ingest.events import Start
from analysis.media import Dismiss, Refused

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
TICK_S = 0.1
ENGINES_WITHIN_S = 5.0


class Hearing:
    """The calls that this process hears, and the thread that hears them.

    Args:
        patience: how long calls may be without audio.
        is_bound: whether an engine of others is bound to a call, which then is in progress without audio, too.
    """

    def __init__(
        self, patience: Patience | None = None, is_bound: Callable[[str], bool] = lambda call_id: False
    ) -> None:
        self._patience = patience or Patience()
        self._is_bound = is_bound
        self._bank = CallBank()
        self._calls: dict[str, HeardCall] = {}
        self._inbox: deque[tuple[Job, Any]] = deque()  # bounded by HIGH_WATER_BYTES a stream
        self._wake = threading.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._failing = False

    def call_ids(self) -> list[str]:
        """The calls that are heard, or wait for another stream."""
        return [call.call_id for call in tuple(self._calls.values()) if call.phase is not Phase.ENDING]

    def put(self, job: Job, given: Any) -> None:
        """Queue work for the bank's thread: `job(bank, given)`."""
        self._inbox.append((job, given))

    async def open(self, start: Start, dismiss: Dismiss) -> HeardStream:
        """Begin to hear a stream: of a new call, or of one that has lost its stream.

        Raises:
            Refused: 4401 if its endpoint may not hear the call, 1008 if it is being heard already, 1003 if it
                cannot be heard at its rate, or not go on with these channels.
        """
        self._begin()
        if start.endpoint and not await database_sync_to_async(dispatch.may_open)(start.call_id, start.endpoint):
            raise Refused(4401, "Unauthorised", "the call is another team's")
        while (call := self._calls.get(start.call_id)) and call.phase is Phase.ENDING:
            await call.over.wait()
        if call is None:
            return await self._open_new(start, dismiss)
        return await self._go_on(call, start, dismiss)

    async def _open_new(self, start: Start, dismiss: Dismiss) -> HeardStream:
        call = self._calls[start.call_id] = HeardCall(start, self._patience, self.put, self.end)
        stream = HeardStream(call, start, dismiss)
        call.begin(stream)
        if self._watcher is None or self._watcher.done():
            self._watcher = self._work(self._watch())
        try:
            await self._ask(lambda bank: bank.open(start.call_id, start.sample_rate, start.channels, start.encoding))
            await self._open_row(start)
        except ValueError as error:
            self._forget(call)
            raise Refused(1003, str(error)) from error
        except BaseException:  # the socket went meanwhile: what was begun is ended
            if call.phase is Phase.OPENING:
                self._work(self.end(call, "close"))
            raise
        if call.phase is Phase.ENDING:
            raise Refused(1001, "Server shutting down")
        call.opened()
        return stream

    async def _go_on(self, call: HeardCall, start: Start, dismiss: Dismiss) -> HeardStream:
        if not call.takes_another:
            raise Refused(1008, f"call {start.call_id[:80]!r} is being heard already")
        if start.channels != call.channels:
            now, before = ", ".join(start.channels), ", ".join(call.channels)
            raise Refused(1003, f"the stream's channels are {now}; the call goes on with {before} only")
        stream = HeardStream(call, start, dismiss)
        gap = call.go_on(stream)
        self.put(self._change_streams, (call, start))
        stream.put(gap)
        call.tell_started("resumed")
        try:
            await self._open_row(start)
        except BaseException:  # the socket went meanwhile: the call waits for the next one
            await call.leave(stream, "lost")
            raise
        return stream

    def _change_streams(self, bank: CallBank, given: tuple[HeardCall, Start]) -> None:
        call, start = given
        for _, finding in bank.go_on(call.call_id, start.sample_rate, start.encoding):
            call.reporter.take(finding)
        for _, result in bank.results:
            call.reporter.take(result)

    async def _open_row(self, start: Start) -> None:
        await database_sync_to_async(dispatch.open_call)(
            start.call_id, start.protocol, start.channels, process_name(), start.endpoint
        )

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._hear, name="call-bank", daemon=True)
            self._thread.start()

    def _work(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the sockets, and keep hold of it."""

        async def guarded() -> None:
            try:
                await work
            except Exception:
                logger.exception("a call could not be seen to its end")

        task = asyncio.create_task(guarded())
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _watch(self) -> None:
        """While there are calls, look for those without audio, and for what was posted about calls."""
        while self._calls:
            await asyncio.sleep(self._patience.look_s)
            for call in tuple(self._calls.values()):
                if not call.look():
                    self._work(self.end(call, "lost"))
            await self._take_posts()

    async def _take_posts(self) -> None:
        """Has the bank told what was posted; posts about calls that are over say nothing any more."""
        try:
            while posts := await database_sync_to_async(told.take)(process_name()):
                for post in posts:
                    if post.call_id in self._calls:
                        self.put(_tell, post)
        except (DatabaseError, InterfaceError):
            return  # the database is away, which its writers tell of; posts wait there

    def end(self, call: HeardCall, reason: str) -> Coroutine[Any, Any, None]:
        """From now on a call takes nothing; awaited, what is left is heard and reported, and its row is closed."""
        call.end_begins()
        return self._see_out(call, reason)

    async def _see_out(self, call: HeardCall, reason: str) -> None:
        try:
            heard = await self._ask(lambda bank: call.hear_the_rest(bank, reason))
            if heard:
                _log_end(call, heard, reason)
            await call.reporter.stored()
            await self._note_score(call)
            if not self._is_bound(call.call_id):
                await self._ask(lambda bank: call.reporter.over())
                await call.reporter.stored()
        finally:
            self._forget(call)

    async def _note_score(self, call: HeardCall) -> None:
        """What the call sounded like as a whole. It ends all the same where that cannot be written now."""
        score = call.reporter.summary.mos_score
        if score is not None:
            try:
                await database_sync_to_async(dispatch.note_mos)(call.call_id, score)
            except (DatabaseError, InterfaceError):
                logger.exception("the score of a call could not be kept")

    def _forget(self, call: HeardCall) -> None:
        self._calls.pop(call.call_id, None)
        call.over.set()

    async def stop(self) -> None:
        """The server stops: calls that wait for another stream are over, as are all others."""
        for call in tuple(self._calls.values()):
            if call.phase is not Phase.ENDING:
                self._work(self.end(call, "shutdown"))
        for call in tuple(self._calls.values()):
            await call.over.wait()

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
            calls = tuple(self._calls.values())
            try:
                self._tick({call.call_id: call for call in calls})
                self._failing = False
            except Exception:
                self._tell_failure(calls)

    def _tell_failure(self, calls: tuple[HeardCall, ...]) -> None:
        """The bank hears in lock-step, so what it stumbles over is missing of every call."""
        if not self._failing:
            logger.exception("the bank could not hear what it was given")
        self._failing = True
        for call in calls:
            call.reporter.fault(*NOT_HEARD)

    def _tick(self, calls: dict[str, HeardCall]) -> None:
        streams = [stream for call in calls.values() if (stream := call.stream)]
        arrivals = {stream: stream.take_arrival() for stream in streams}
        for _ in range(len(self._inbox)):
            job, given = self._inbox.popleft()
            try:
                job(self._bank, given)
            except Exception:  # of one call; the others are heard all the same
                logger.exception("work for a call could not be done")
        try:
            for call_id, finding in self._bank.tick():
                calls[call_id].reporter.take(finding)
            for call_id, result in self._bank.results:
                calls[call_id].reporter.take(result)
            for call_id, failure in self._bank.failed().items():
                calls[call_id].fail(failure)
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


def _tell(bank: CallBank, post: Post) -> None:
    for item in post.items:
        for said in of_item(post.kind, item):
            bank.tell(post.call_id, said)


def _log_end(call: HeardCall, heard: CallStats, reason: str) -> None:
    logger.info(
        "call %s ended (%s): heard %d ms, missing %s ms, late %s ms, lag median %.0f ms, worst %.0f ms",
        call.call_id,
        reason,
        heard.heard_ms,
        "/".join(map(str, heard.missing_ms.values())),
        "/".join(map(str, heard.late_ms.values())),
        statistics.median(call.lags_ms or [0.0]),
        call.worst_lag_ms,
    )


_hearing: Hearing | None = None


def the_hearing() -> Hearing:
    """What this process hears with, made on first use."""
    global _hearing
    if _hearing is None:
        _hearing = Hearing(is_bound=lambda call_id: get_engine(call_id) is not None)
    return _hearing


_engines = Engines(is_heard=lambda call_id: _hearing is not None and call_id in _hearing.call_ids())
bind = _engines.bind
unbind = _engines.unbind
get_engine = _engines.get


def active_calls() -> list[str]:
    """The calls in progress in this process: those that are heard, and those with an engine of others."""
    heard = _hearing.call_ids() if _hearing else []
    return sorted({*heard, *_engines.call_ids()})


async def stop() -> None:
    """The server stops: every call is over, every engine is let go. One that will not be destroyed is left behind."""
    if _hearing:
        await _hearing.stop()
    letting_go = threading.Thread(target=_engines.stop, name="engines-stop", daemon=True)
    letting_go.start()
    await asyncio.to_thread(letting_go.join, ENGINES_WITHIN_S)
    if letting_go.is_alive():
        logger.error("an engine was not destroyed within %g s", ENGINES_WITHIN_S)
