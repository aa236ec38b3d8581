"""The only writer of alerts: a thread that has the ledger carry out orders, a batch at a time, and then publishes."""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, connections, transaction
from uuid_utils.compat import uuid7

from alerts import publish
from alerts.publish import Published

logger = logging.getLogger(__name__)
Outcome = TypeVar("Outcome")
MAX_WAITING = 10_000  # orders; full means the caller waits
MAX_BATCH = 200  # reports a transaction, unless one list has more: nobody waits for a long one that is not theirs
RETRY_S = (0.05, 0.2, 1.0)  # the last is repeated


def now_ms() -> int:
    """Wall time, Unix ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """Something to be raised as an alert. Its id and time are made here, before anything can go wrong."""

    type: str
    severity: int
    title: str
    message: str
    call_id: str = ""
    kind: str = ""
    channel: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    actionable: bool = False
    occurred_at: int | None = None
    repeat_of: UUID | None = None
    source: str = ""
    external_id: str | None = None
    id: UUID = field(default_factory=uuid7)
    timestamp: int = field(default_factory=now_ms)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a report; a report repeated under one external id gets the first one's."""

    id: UUID
    seq: int | None
    suppressed: bool
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Who acknowledged an alert, and when (Unix ms). Not `first`: it had been before, and this is how."""

    alert_id: UUID
    at: int
    by: str
    note: str
    first: bool


@dataclass(frozen=True, slots=True)
class Resolved:
    """When an alert ended, Unix ms. Not `first`: it had ended before."""

    alert_id: UUID
    at: int
    first: bool


class Order(Generic[Outcome]):
    """Something to be written, whole or not at all; its outcome is known when it is committed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reports(Order[list[Stored]]):
    """Raise alerts, in this order. Outcome: one `Stored` a report."""

    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class End(Order[list[Stored]]):
    """The end of what was reported under `ids`: wall time in Unix ms, and its final duration.

    Outcome: the alerts that it ended; the others had ended before.
    """

    ids: tuple[UUID, ...]
    ended_at: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Acknowledgement(Order[Acknowledged | None]):
    """Somebody has seen an alert. Outcome: who was first, or nothing where there is no such alert."""

    alert_id: UUID
    by: str
    note: str = ""
    at: int = field(default_factory=now_ms)


@dataclass(frozen=True, slots=True)
class Resolution(Order[Resolved | None]):
    """Somebody ends an alert by hand. Outcome: its end, or nothing where there is no such alert."""

    alert_id: UUID
    by: str
    at: int = field(default_factory=now_ms)


@dataclass(frozen=True, slots=True)
class CallOver(Order[bool]):
    """A call is over, and what was raised of it with it. `heard_by`: only if that process was the last to hear it.

    Outcome: whether it was in progress.
    """

    call_id: str
    heard_by: str | None = None
    at: int = field(default_factory=now_ms)


class Overtaken(Exception):
    """Another process stored one of the reports, by its external id, about another call; the next try knows it."""


Store = Callable[[Sequence[Order[Any]]], tuple[list[Any], list[Published]]]


@dataclass(slots=True)
class _Job(Generic[Outcome]):
    order: Order[Outcome]
    done: Future[Outcome] = field(default_factory=Future)

    @property
    def reports(self) -> int:
        """How much of a batch it takes."""
        return len(self.order.reports) if isinstance(self.order, Reports) else 1


class Writer:
    """A thread with a queue before it. Idle it commits at once; under load it takes all that waits as one batch.

    Args:
        store: carries out a batch of orders in the transaction that is open; tells the outcome of each, and what
            is to be published, in order. It raises `Overtaken` when a next try will come further.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._inbox: queue.Queue[_Job[Any] | None] = queue.Queue(MAX_WAITING)
        self._ahead: deque[_Job[Any] | None] = deque()  # taken from the inbox but too much for the batch
        self._closing = threading.Event()
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert-writer", daemon=True)
        self._thread.start()

    def submit(self, order: Order[Outcome], within_s: float | None = None) -> Future[Outcome]:
        """Queue an order, from any thread; waits while the queue is full. The future holds its outcome.

        Raises:
            queue.Full: there was no room `within_s`.
        """
        job = _Job(order)
        job.done.set_running_or_notify_cancel()  # whoever stops waiting for it takes nothing back
        if self._closing.is_set():
            raise RuntimeError("the alert writer has been closed")
        self._inbox.put(job, timeout=within_s)
        return job.done

    def close(self, within_s: float) -> None:
        """Writes what was queued, then ends the thread. What the database has not taken by then is given up."""
        self._closing.set()
        deadline = time.monotonic() + within_s
        try:
            self._inbox.put(None, timeout=within_s)
            self._thread.join(max(0.0, deadline - time.monotonic()))
        except queue.Full:
            pass
        if self._thread.is_alive():
            self._giving_up.set()
            logger.error("stopped while the database was away: about %d writes are lost", self._inbox.qsize() + 1)

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)
        connections.close_all()

    def _next_batch(self) -> list[_Job[Any]]:
        """All that waits, up to `MAX_BATCH` reports; empty when the writer is to end."""
        batch: list[_Job[Any]] = []
        room = MAX_BATCH
        while True:
            try:
                job = self._ahead.popleft() if self._ahead else self._inbox.get(block=not batch)
            except queue.Empty:
                return batch
            if batch and (job is None or job.reports > room):
                self._ahead.append(job)
                return batch
            if job is None:
                return []
            batch.append(job)
            room -= job.reports

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        try:
            outcomes, published = self._store_patiently([job.order for job in jobs])
        except Exception as error:
            if len(jobs) > 1:  # one of them cannot be stored: the others must not fail with it
                for job in jobs:
                    self._commit([job])
            else:
                logger.exception("an order could not be stored")
                jobs[0].done.set_exception(error)
            return
        try:
            publish.publish(published)
        except Exception:
            logger.exception("stored alerts could not be published")
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.done.set_result(outcome)

    def _store_patiently(self, orders: Sequence[Order[Any]]) -> tuple[list[Any], list[Published]]:
        """Stores, and while the database is away keeps trying: nothing accepted is given up before the stop."""
        attempt = 0
        while True:
            try:
                with transaction.atomic():
                    return self._store(orders)
            except Overtaken:
                continue
            except (OperationalError, InterfaceError):
                if attempt == 0:
                    logger.exception("the database is away; alerts wait for it")
                with contextlib.suppress(Exception):
                    connection.close()
                if self._giving_up.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
                    raise
                attempt += 1
