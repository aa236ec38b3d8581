"""Turns what is found in one call into alerts, and knows which of them tell of something that is not over."""

import asyncio
import contextlib
import logging
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from alerts import dispatch, findings
from alerts.writer import Report, now_ms
from alertsite.identity import process_name
from analysis.bank import CallStats
from analysis.findings import AnalysisResult, CallEvent, Finding, Heard, State
from analysis.summary import CallSummary

logger = logging.getLogger(__name__)
MOST_OPEN = 1_000  # findings of one call; full means the oldest is taken for over: its engine forgets to close


@dataclass(slots=True)
class _Open:
    """Something that is not over: since when, Unix ms, and the alerts that tell of it, with the last one's severity."""

    since: int
    alerts: list[UUID] = field(default_factory=list)
    severity: int = 0


class CallReporter:
    """Reports about one call. One thread at a time.

    Args:
        call_id: the call.
        began_ms: wall time of its first audio, Unix ms.
    """

    def __init__(self, call_id: str, began_ms: int) -> None:
        self.call_id = call_id
        self.began_ms = began_ms
        self._open: dict[str, _Open] = {}
        self._lost: _Open | None = None
        self._fault_told = False
        self._last_write: Future[Any] | None = None
        self.summary = CallSummary()

    def take(self, found: Finding | AnalysisResult) -> None:
        """Reports what our own engine found; if that fails, what it found in other calls is reported all the same."""
        try:
            if isinstance(found, Finding):
                self.finding(found)
            else:
                self.result(found)
        except Exception:
            logger.exception("what was found in a call could not be reported")
            self.fault("A finding in this call could not be reported.", "Look for the cause in the server's log.")

    def finding(self, finding: Finding) -> None:
        """Turns one step of a finding into an alert, and its last one into the end of those it raised."""
        self.summary.take(finding)
        event = finding.event
        if finding.state is not State.CLOSED or finding.key not in self._open:
            occurred_at = self.began_ms + event.timestamp
            self._raise(finding.key, occurred_at, of_heard(self.call_id, event, occurred_at=occurred_at))
        if finding.state is State.CLOSED:
            ended_at = self.began_ms + event.timestamp + event.duration
            self._last_write = dispatch.end(self._open.pop(finding.key).alerts, ended_at, event.duration)

    def _raise(self, key: str, since: int, report: Report) -> None:
        """Tells of something that is not over; what is told of it later repeats the first alert."""
        if key not in self._open and len(self._open) == MOST_OPEN:
            self._end(self._open.pop(next(iter(self._open))))
        known = self._open.setdefault(key, _Open(since))
        known.severity = report.severity
        self.reports(replace(report, repeat_of=known.alerts[0] if known.alerts else None))
        known.alerts.append(report.id)

    def result(self, result: AnalysisResult) -> None:
        """How the call is: told when it becomes bad, and when that becomes worse; ended when it is good again."""
        self.summary.take_result(result)
        record, occurred_at = result.record(), self.began_ms + result.timestamp
        for name in ("callQuality", "sentiment"):
            if not record[name]:
                continue
            bad = findings.of_result(self.call_id, {name: record[name]}, occurred_at=occurred_at)
            known = self._open.get(name)
            if bad and (known is None or bad[0].severity > known.severity):
                self._raise(name, occurred_at, bad[0])
            elif known and not bad:
                self._end(self._open.pop(name))

    def summarise(self, stats: CallStats) -> None:
        """Tells what the call was like, if anything of it was heard."""
        if stats.heard_ms:
            self.reports(findings.of_summary(self.call_id, self.summary.text(stats), occurred_at=now_ms()))

    def reports(self, *reports: Report) -> None:
        """Reports what is worded already."""
        if reports:
            self._last_write = dispatch.report(*reports)

    def started(self, protocol: str, reason: str = "") -> None:
        """Tells that a stream of the call has started; it ends what was told of a lost one."""
        self.found_again()
        self._stream("started", protocol, reason)

    def ended(self, protocol: str, reason: str) -> None:
        """Tells that the call's stream has ended."""
        self._stream("ended", protocol, reason)

    def lost(self, protocol: str, reason: str) -> None:
        """Tells, once until it is found again, that nothing comes any more."""
        if self._lost is None:
            self._lost = _Open(now_ms())
            self._lost.alerts.append(self._stream("lost", protocol, reason))

    def found_again(self) -> None:
        """It speaks again, or is known to be over: either way it is lost no longer."""
        lost, self._lost = self._lost, None
        if lost:
            self._end(lost)

    def fault(self, description: str, recommendation: str) -> None:
        """Tells, once, that who hears the call has failed."""
        if self._fault_told:
            return
        self._fault_told = True
        fault = {
            "type": "engine_fault",
            "severity": "high",
            "confidence": 1.0,
            "description": description,
            "recommendation": recommendation,
        }
        try:
            self.reports(findings.of_anomaly(self.call_id, fault, occurred_at=now_ms()))
        except Exception:
            logger.exception("an engine's fault could not be reported")

    def close(self) -> None:
        """Nothing more is found in the call; what was left open ends now."""
        self.found_again()
        while self._open:
            self._end(self._open.popitem()[1])

    def over(self) -> None:
        """The call is over, unless another process has taken it over."""
        self._last_write = dispatch.close_call(self.call_id, process_name())

    async def stored(self) -> None:
        """Waits until all that was reported is committed, or was found, and logged, to be no fit for storing."""
        if self._last_write is not None:
            with contextlib.suppress(Exception):
                await asyncio.wrap_future(self._last_write)

    def _stream(self, kind: str, protocol: str, reason: str) -> UUID:
        report = findings.of_stream(self.call_id, kind, protocol, reason, occurred_at=now_ms())
        self.reports(report)
        return report.id

    def _end(self, over: _Open) -> None:
        now = now_ms()
        self._last_write = dispatch.end(over.alerts, now, max(0, now - over.since))


def of_heard(call_id: str, heard: Heard, **more: Any) -> Report:
    """The report of something that our own engine heard."""
    record = heard.record()
    del record["record"]
    return (findings.of_event if isinstance(heard, CallEvent) else findings.of_anomaly)(call_id, record, **more)
