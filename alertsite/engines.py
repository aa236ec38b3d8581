"""Engines of others: they are bound to calls, and what they say they found becomes alerts.

An engine is an object with `on(name, callback)` for `result`, `events` and `anomalies`, and perhaps `destroy()`. It may
call back from any thread. Whatever is wrong with it is told once, as the call's `engine_fault`, and harms nothing else.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from django.db import close_old_connections, connections
from rest_framework.exceptions import ValidationError

from alerts import dispatch, findings
from alerts.access import is_call_id
from alerts.writer import Report, now_ms
from alertsite.identity import process_name
from alertsite.reporter import CallReporter
from analysis import Finding
from analysis.findings import Anomaly, CallEvent

logger = logging.getLogger(__name__)
PROTOCOL = "engine"  # what a call's row and its `lost` alert name instead of a dialect
QUIET_S = 60.0  # without a word, until an engine is taken for lost
LOOK_S = 1.0
CLOSED_WITHIN_S = 10.0  # else the database is away, and a call is closed when it is back
MAX_WAITING = 10_000  # pieces of work at the database; full means that who brings one waits


class Engine(Protocol):
    """Something that hears a call elsewhere."""

    def on(self, name: str, callback: Callable[..., None], /) -> Any:
        """Have `callback(found)` called with each `result`, with `events` and `anomalies`: one or a list of them."""


class Binding:
    """An engine and the call that it is bound to."""

    def __init__(self, call_id: str, engine: Engine, began_ms: int, note_mos: Callable[[str, float], None]) -> None:
        self.call_id = call_id
        self.engine = engine
        self.began_ms = began_ms
        self._note_mos = note_mos
        self._lock = threading.RLock()  # engines call back from any thread, and from within `on`
        self._reporter = CallReporter(call_id, began_ms)
        self._listening = True
        self._silent_s = 0.0

    def listen(self) -> None:
        """Asks the engine for all that it finds."""
        takers = {"result": self._result, "events": self._event, "anomalies": self._anomaly}
        for name, take in takers.items():
            try:
                self.engine.on(name, partial(self._called_back, name, take))
            except Exception as error:
                self._fault(f"on({name!r}) raised {_named(error)}")

    def _called_back(self, name: str, take: Callable[[Any], None], *given: Any) -> None:
        """What the engine calls. Nothing that happens here is thrown back at it."""
        with self._lock:
            if not self._listening:
                return
            self._silent_s = 0.0
            self._reporter.found_again()
            try:
                (found,) = given
                several = isinstance(found, list | tuple)
                for index, one in enumerate(found if several else [found]):
                    self._take_one(f"{name}[{index}]" if several else name, take, one)
            except Exception as error:
                self._fault(f"what it calls back for {name!r} cannot be read: {_named(error)}")

    def _take_one(self, name: str, take: Callable[[Any], None], found: Any) -> None:
        try:
            take(found)
        except ValidationError as error:
            self._fault(f"{name}: {findings.told(error)}")
        except Exception as error:
            self._fault(f"{name} cannot be read: {_named(error)}")

    def _event(self, found: Any) -> None:
        self._take_finding(found, findings.EventRecord, findings.of_event)

    def _anomaly(self, found: Any) -> None:
        self._take_finding(found, findings.AnomalyRecord, findings.of_anomaly)

    def _take_finding(self, found: Any, record_class: type[findings.Record], report_of: Callable[..., Report]) -> None:
        """Findings of our own kind have a life; a record is one that is over."""
        if isinstance(found, Finding):
            own_class = findings.EventRecord if isinstance(found.event, CallEvent) else findings.AnomalyRecord
            findings.checked(own_class, found.event.record())
            self._reporter.finding(found)
            return
        if isinstance(found, CallEvent | Anomaly):
            found = found.record()
        record = findings.checked(record_class, found)
        occurred_at = self.began_ms + record["timestamp"] if "timestamp" in record else None
        self._reporter.reports(report_of(self.call_id, record, occurred_at=occurred_at))

    def _result(self, found: Any) -> None:
        """Half a result is a fault; the good half of it counts all the same."""
        halves, error = findings.halves(found)
        self._reporter.reports(*findings.of_result(self.call_id, halves))
        if "callQuality" in halves:
            self._note_mos(self.call_id, halves["callQuality"]["mosScore"])
        if error:
            raise error

    def look(self, passed_s: float) -> None:
        """Time has passed; an engine that says nothing for long is lost until it speaks again."""
        if not self._lock.acquire(blocking=False):
            return  # it is speaking, and may be waiting for who looks here
        try:
            self._silent_s += passed_s
            if self._listening and self._silent_s >= QUIET_S:
                self._reporter.lost(PROTOCOL, f"nothing for {QUIET_S:g} s")
        finally:
            self._lock.release()

    def let_go(self) -> None:
        """Nothing it says counts any more; what it left open is over."""
        with self._lock:
            self._listening = False
            self._reporter.close()

    def destroy(self) -> None:
        """Tells the engine that it was let go, if it wants to know."""
        try:
            destroy = getattr(self.engine, "destroy", None)
            if destroy is not None:
                destroy()
        except Exception as error:
            self._fault(f"destroy() raised {_named(error)}")

    def _fault(self, what: str) -> None:
        logger.warning("the engine of call %s failed: %.500s", self.call_id, what)
        with self._lock:
            self._reporter.fault(
                f"The engine of this call failed: {what:.500}.",
                "Mend the engine and bind it again; its other findings are still taken.",
            )


class Engines:
    """The engines of this process, by call.

    Args:
        is_heard: whether this process also hears the call itself; then its row is not ours to open and close.
    """

    def __init__(self, is_heard: Callable[[str], bool]) -> None:
        self._is_heard = is_heard
        self._bindings: dict[str, Binding] = {}
        self._lock = threading.Lock()
        self._rows: queue.Queue[tuple[Callable[[], None], Future[None]] | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None

    def bind(self, call_id: str, engine: Engine) -> "Future[None]":
        """Let an engine report about a call, which is in progress from now on. An earlier engine of it is let go.

        From any thread or async code; returns at once. The future is done when the database has the call.

        Raises:
            ValueError: the id is none: 1–256 characters without controls.
            TypeError: the engine has no `on`.
        """
        if not isinstance(call_id, str) or not is_call_id(call_id):
            raise ValueError(f"call id {call_id!r:.300}: 1 to 256 characters without controls are needed")
        if not callable(getattr(engine, "on", None)):
            raise TypeError(f"engine {engine!r:.300} has no on(name, callback)")
        with self._lock:
            earlier = self._bindings.get(call_id)
            began_ms = earlier.began_ms if earlier else now_ms()
            binding = self._bindings[call_id] = Binding(call_id, engine, began_ms, self._note_mos)
        opened = self._at_database(partial(self._open_row, call_id))
        if earlier:
            earlier.let_go()
            if earlier.engine is not engine:
                earlier.destroy()
        binding.listen()
        return opened

    def unbind(self, call_id: str) -> "Future[None]":
        """Let a call's engine go, which ends the call; without one, nothing. The future is done when it is stored."""
        with self._lock:
            binding = self._bindings.pop(call_id, None)
        if binding:
            binding.let_go()
            binding.destroy()
        return self._at_database(partial(self._close_row, call_id) if binding else lambda: None)

    def get(self, call_id: str) -> Engine | None:
        """The engine that is bound to a call."""
        binding = self._bindings.get(call_id)
        return binding.engine if binding else None

    def call_ids(self) -> list[str]:
        """The calls that have one."""
        return list(self._bindings)

    def stop(self) -> None:
        """Lets all of them go and waits until the database knows; then destroys them, for as long as that takes."""
        with self._lock:
            bindings, self._bindings = tuple(self._bindings.values()), {}
            thread, self._thread = self._thread, None
        for binding in bindings:
            binding.let_go()
            self._rows.put((partial(self._close_row, binding.call_id), Future()))
        if thread:
            self._rows.put(None)
            thread.join()
        for binding in bindings:
            binding.destroy()

    def _open_row(self, call_id: str) -> None:
        if not self._is_heard(call_id):
            dispatch.open_call(call_id, PROTOCOL, (), process_name(), taking_over=False)

    def _close_row(self, call_id: str) -> None:
        if not self._is_heard(call_id) and call_id not in self._bindings:
            dispatch.close_call(call_id, process_name()).result(CLOSED_WITHIN_S)

    def _note_mos(self, call_id: str, mos: float) -> None:
        self._at_database(partial(dispatch.note_mos, call_id, mos))

    def _at_database(self, work: Callable[[], None]) -> "Future[None]":
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # whoever stops waiting for it takes nothing back
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="engines", daemon=True)
                self._thread.start()
        self._rows.put((work, done))
        return done

    def _run(self) -> None:
        """The thread beside the engines: writes rows in their order, and looks for who is quiet."""
        look_at = time.monotonic() + LOOK_S
        while True:
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_S
                for binding in tuple(self._bindings.values()):
                    binding.look(LOOK_S)
            try:
                job = self._rows.get(timeout=max(0.0, look_at - time.monotonic()))
            except queue.Empty:
                continue
            if job is None:
                break
            _do(*job)
        connections.close_all()


def _do(work: Callable[[], None], done: "Future[None]") -> None:
    try:
        close_old_connections()  # such as those to a database that was away
        work()
    except Exception as error:
        logger.exception("a call's row could not be written")
        done.set_exception(error)
    else:
        done.set_result(None)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
