"""A recording heard from its first block to its last, as a live call would be, and what is gathered on the way."""

from collections.abc import Callable, Iterator

from analysis.active_level import ActiveLevel
from analysis.audio import AudioError, Recording, decode
from analysis.bank import CallBank, CallStats
from analysis.findings import AnalysisResult, Finding, Heard, State
from analysis.frames import FrameLog
from analysis.summary import CallSummary

_CALL = "recording"

Progress = Callable[[int], None]
"""Told how many milliseconds have been heard."""


class Listening:
    """Hears one recording.

    Args:
        names: of the recording's channels.
        measure: measure active speech levels, too.
        log: write down every frame.
    """

    def __init__(self, recording: Recording, names: tuple[str, ...], *, measure: bool, log: bool) -> None:
        self.recording, self.names = recording, names
        self.found: list[Heard] = []  # events and anomalies, as they closed
        self.results: list[AnalysisResult] = []
        self.summary = CallSummary()
        self.trouble: AudioError | None = None
        self.meters = {name: ActiveLevel(recording.sample_rate) for name in names} if measure else {}
        self.log = FrameLog(recording.channels) if log else None
        self._bank = CallBank(observers=[self.log] if self.log else [])
        self._bank.open(_CALL, recording.sample_rate, names, recording.encoding)

    @property
    def stats(self) -> CallStats:
        """How much was heard."""
        return self._bank.stats(_CALL)

    def hear(self, progress: Progress) -> Iterator[Heard | AnalysisResult]:
        """All of the recording: each event and anomaly when it closes, each result when its window is over.

        A fault of the file ends it there and is kept as `trouble`; what was heard before counts.
        """
        samples = 0
        try:
            for block in self.recording.blocks():
                samples += len(block) // (self.recording.encoding.sample_width * self.recording.channels)
                self._bank.push(_CALL, block)
                self._measure(block)
                yield from self._told([finding for _, finding in self._bank.tick()])
                progress(samples * 1000 // self.recording.sample_rate)
        except AudioError as error:
            self.trouble = error
        yield from self._told(self._bank.close(_CALL))

    def _measure(self, block: bytes) -> None:
        if self.meters:
            samples = decode(block, self.recording.encoding).reshape(-1, self.recording.channels)
            for channel, meter in enumerate(self.meters.values()):
                meter.push(samples[:, channel])

    def _told(self, findings: list[Finding]) -> Iterator[Heard | AnalysisResult]:
        for _, result in self._bank.results:
            self.results.append(result)
            self.summary.take_result(result)
            yield result
        for finding in findings:
            self.summary.take(finding)
            if finding.state is State.CLOSED:
                self.found.append(finding.event)
                yield finding.event
