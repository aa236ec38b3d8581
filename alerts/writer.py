"""The only writer of alerts: one transaction per batch decides policy, `seq` and idempotency, then publishes."""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import Q
from uuid_utils.compat import uuid7

from alerts import policy, publish
from alerts.models import Alert, Call

logger = logging.getLogger(__name__)
CORRELATION_WINDOW_MS = 10_000
MAX_WAITING = 10_000  # jobs; full means the caller waits
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
class End:
    """The end of what was reported under `ids`: wall time in Unix ms, and its final duration."""

    ids: tuple[UUID, ...]
    ended_at: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a report; a report repeated under one external id gets the first one's."""

    id: UUID
    seq: int | None
    suppressed: bool
    external_id: str | None


@dataclass(slots=True)
class _Job:
    reports: Sequence[Report]
    ends: Sequence[End]
    done: Future[list[Stored]]


class Writer:
    """A thread with a queue before it. Idle it commits at once; under load it takes all that waits as one batch."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._ahead: deque[_Job | None] = deque()  # taken from the inbox but too much for the batch
        self._closing = threading.Event()
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert-writer", daemon=True)
        self._thread.start()

    def submit(
        self, reports: Sequence[Report], ends: Sequence[End] = (), within_s: float | None = None
    ) -> Future[list[Stored]]:
        """Queue writes, from any thread; waits while the queue is full. The future holds one `Stored` a report.

        Raises:
            queue.Full: there was no room `within_s`.
        """
        job = _Job(reports, ends, Future())
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

    def _next_batch(self) -> list[_Job]:
        """All that waits, up to `MAX_BATCH` reports; empty when the writer is to end."""
        batch: list[_Job] = []
        room = MAX_BATCH
        while True:
            try:
                job = self._ahead.popleft() if self._ahead else self._inbox.get(block=not batch)
            except queue.Empty:
                return batch
            if batch and (job is None or len(job.reports) > room):
                self._ahead.append(job)
                return batch
            if job is None:
                return []
            batch.append(job)
            room -= len(job.reports)

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            stored, published = self._store_patiently(jobs)
        except Exception as error:
            if len(jobs) > 1:  # one of them cannot be stored: the others must not fail with it
                for job in jobs:
                    self._commit([job])
            else:
                logger.exception("alerts could not be stored")
                jobs[0].done.set_exception(error)
            return
        try:
            publish.publish(published)
        except Exception:
            logger.exception("stored alerts could not be published")
        for job, results in zip(jobs, stored, strict=True):
            job.done.set_result(results)

    def _store_patiently(self, jobs: list[_Job]) -> tuple[list[list[Stored]], list[publish.Published]]:
        """Stores, and while the database is away keeps trying: nothing accepted is given up before the stop."""
        attempt = 0
        lost_a_race = False
        while True:
            try:
                with transaction.atomic():
                    return _store(jobs)
            except (
                IntegrityError
            ):  # another process stored the same external id under another call's lock; it shows now
                if lost_a_race:
                    raise
                lost_a_race = True
            except (OperationalError, InterfaceError):
                if attempt == 0:
                    logger.exception("the database is away; alerts wait for it")
                with contextlib.suppress(Exception):
                    connection.close()
                if self._giving_up.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
                    raise
                attempt += 1


def _store(jobs: list[_Job]) -> tuple[list[list[Stored]], list[publish.Published]]:
    reports = [report for job in jobs for report in job.reports]
    calls = {call_id: _Ledger(call) for call_id, call in _locked_calls({report.call_id for report in reports}).items()}
    known = _already_stored(reports)  # after the lock: another process may have stored them while we waited for it
    fresh: list[Alert] = []
    for report in reports:
        if _identity(report) not in known:
            alert = calls[report.call_id].enter(report)
            fresh.append(alert)
            known[_identity(report)] = alert
    Alert.objects.bulk_create(fresh)
    Call.objects.bulk_update([ledger.closed() for ledger in calls.values()], ["last_seq", "changed_at", "cooldowns"])
    for end in (end for job in jobs for end in job.ends):
        _end(end)
    stored = [[_stored(known[_identity(report)]) for report in job.reports] for job in jobs]
    return stored, [publish.published(alert) for alert in fresh if not alert.suppressed]


def _identity(report: Report) -> tuple[str, str]:
    """What makes two reports the same one: the poster's id for it if there is one, else our own."""
    return (report.source, report.external_id) if report.external_id else ("", str(report.id))


def _already_stored(reports: Sequence[Report]) -> dict[tuple[str, str], Alert]:
    """The alerts that these reports have become before: on a first try that broke off, or posted before."""
    if not reports:
        return {}
    same = Q(id__in=[report.id for report in reports])
    for source in {report.source for report in reports if report.external_id}:
        external_ids = [report.external_id for report in reports if report.source == source and report.external_id]
        same |= Q(source=source, external_id__in=external_ids)
    return {
        ((alert.source, alert.external_id) if alert.external_id else ("", str(alert.id))): alert
        for alert in Alert.objects.filter(same)
    }


def _locked_calls(call_ids: set[str]) -> dict[str, Call]:
    """The calls' rows, made where missing, locked in the order of their keys so that no two batches wait in a ring."""
    known = set(Call.objects.filter(call_id__in=call_ids).values_list("call_id", flat=True))
    Call.objects.bulk_create(
        [Call(call_id=call_id, started_at=now_ms()) for call_id in sorted(call_ids - known)], ignore_conflicts=True
    )
    locked = Call.objects.select_for_update().filter(call_id__in=call_ids).order_by("pk")
    return {call.call_id: call for call in locked}


class _Ledger:
    """What a transaction knows of one call while it enters alerts: its locked row and the state kept there."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._cooldowns = policy.load(call.cooldowns)
        self._sent: list[tuple[int, UUID]] = []  # time and id of the alerts sent in this transaction
        self._stored: tuple[int, UUID] | None = None  # the first one sent earlier, since `_looked_from`
        self._looked_from: int | None = None

    def enter(self, report: Report) -> Alert:
        """The alert that a report becomes."""
        decision, self._cooldowns = policy.decide(
            str(report.id),
            report.type,
            report.kind,
            report.channel,
            report.severity,
            self._cooldowns,
            report.timestamp,
            settings.ALERT_COOLDOWN_MS,
        )
        correlation_id = self._correlation(report)
        if not decision.suppressed:
            self._call.last_seq += 1
            self._call.changed_at = max(self._call.changed_at, now_ms())
            self._sent.append((report.timestamp, report.id))
        return Alert(
            id=report.id,
            call=self._call,
            seq=None if decision.suppressed else self._call.last_seq,
            type=report.type,
            kind=report.kind,
            severity=report.severity,
            channel=report.channel,
            timestamp=report.timestamp,
            occurred_at=report.occurred_at,
            stored_at=now_ms(),
            title=report.title,
            message=report.message,
            data=report.data,
            actionable=report.actionable,
            suppressed=decision.suppressed,
            suppressed_count=decision.suppressed_count,
            repeat_of=decision.repeat_of or report.repeat_of,
            correlation_id=correlation_id,
            source=report.source,
            external_id=report.external_id,
        )

    def _correlation(self, report: Report) -> UUID:
        """The earliest alert sent about the call within the 10 s before, else the report itself."""
        if not settings.ALERT_CALL_CORRELATION or not self._call.call_id:
            return report.id
        window_from = report.timestamp - CORRELATION_WINDOW_MS
        entered = next((one for one in self._sent if one[0] >= window_from), None)
        before = [one for one in (self._first_stored(window_from), entered) if one and one[0] <= report.timestamp]
        return min(before, default=(0, report.id), key=lambda one: one[0])[1]

    def _first_stored(self, window_from: int) -> tuple[int, UUID] | None:
        """Time and id of the first alert sent since `window_from` in earlier transactions.

        Reports come in order, so an answer holds for most that follow: a list costs one query, not one for each.
        """
        holds = self._looked_from is not None and self._looked_from <= window_from
        if not holds or (self._stored is not None and self._stored[0] < window_from):
            sent = Alert.objects.filter(call=self._call, timestamp__gte=window_from, suppressed=False)
            self._stored = sent.order_by("timestamp", "seq").values_list("timestamp", "id").first()
            self._looked_from = window_from
        return self._stored

    def closed(self) -> Call:
        """The row with the state after all that was entered."""
        self._call.cooldowns = policy.dump(self._cooldowns)
        return self._call


def _end(end: End) -> None:
    """Writes the end of alerts that have none yet."""
    for alert in Alert.objects.select_for_update().filter(id__in=end.ids, ended_at__isnull=True):
        alert.ended_at = end.ended_at
        alert.version += 1
        if isinstance(alert.data.get("event"), dict):
            alert.data["event"]["duration"] = end.duration_ms
        alert.save(update_fields=["ended_at", "version", "data"])


def _stored(alert: Alert) -> Stored:
    return Stored(alert.id, alert.seq, alert.suppressed, alert.external_id)
