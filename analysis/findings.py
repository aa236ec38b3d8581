"""What the engine says it heard: frozen values, no behaviour beyond their JSON record."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where in its life a finding is."""

    OPENED = "opened"
    RAISED = "raised"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something that happened in a call, on one channel or on all of them.

    Times are integer milliseconds of media time, counted in samples from the call's first audio.

    Attributes:
        type: `overlap`, `interrupt`, `long_pause`, `silence`, `volume_spike` or `speaker_change`.
        channel: a name of the stream, `all`, or `mixed` for mono.
        timestamp: where it began, ms.
        duration: how long it has lasted so far, ms; final in a closed finding.
        severity: `info`, `low`, `medium`, `high` or `critical`.
        detected_at: end of the last 20 ms frame that the decision to open needed, look-ahead included, ms.
        metadata: what else is known, by the names of the JSON record (`by`, `level`, `gainDb`, `kind`).
    """

    type: str
    channel: str
    timestamp: int
    duration: int
    severity: str
    detected_at: int
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The event as one JSON object of `python -m analysis --json`."""
        return {
            "record": "event",
            "type": self.type,
            "channel": self.channel,
            "timestamp": self.timestamp,
            "duration": self.duration,
            "severity": self.severity,
            "detectedAt": self.detected_at,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something wrong with the audio itself that lasts, which somebody can mend.

    As `CallEvent`, and:

    Attributes:
        type: `background_noise`, `echo`, `distortion`, `dropouts`, `excessive_silence`, `volume_inconsistency`
            or `wrong_format`.
        confidence: how likely it is true, 0..1.
        description: what is wrong, one sentence for a supervisor.
        recommendation: what to do about it, one sentence.
        metadata: what else is known (`delayMs`, `erlDb`, `snrDb`, `clippedShare`, `count`, `lostMs`, `intervals`).
    """

    type: str
    channel: str
    timestamp: int
    duration: int
    severity: str
    confidence: float
    detected_at: int
    description: str
    recommendation: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The anomaly as one JSON object of `python -m analysis --json`."""
        return {
            "record": "anomaly",
            "type": self.type,
            "channel": self.channel,
            "timestamp": self.timestamp,
            "duration": self.duration,
            "severity": self.severity,
            "confidence": self.confidence,
            "detectedAt": self.detected_at,
            "description": self.description,
            "recommendation": self.recommendation,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class CallQuality:
    """How good a call sounds.

    Attributes:
        mos_score: mean opinion score, 1..4.5.
        r_factor: the E-model's rating, 0..100.
        degraded: bad for so long that somebody should know.
        basis: what it was judged by: `signal`, `network` or `both`.
    """

    mos_score: float
    r_factor: float
    degraded: bool
    basis: str

    def record(self) -> dict[str, Any]:
        """As in a `result` record; the score rounded down, as a 2.96 is no 3.0."""
        return {
            "mosScore": math.floor(self.mos_score * 100) / 100,
            "rFactor": round(self.r_factor, 1),
            "degraded": self.degraded,
            "basis": self.basis,
        }


@dataclass(frozen=True, slots=True)
class Sentiment:
    """The mood of a call.

    Attributes:
        sentiment: `positive`, `neutral` or `negative`.
        confidence: how likely that is right, 0..1.
        basis: what it was judged by: `transcript`, `vendor` or `prosody`.
    """

    sentiment: str
    confidence: float
    basis: str

    def record(self) -> dict[str, Any]:
        """As in a `result` record."""
        return {"sentiment": self.sentiment, "confidence": round(self.confidence, 2), "basis": self.basis}


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """How a call is, at `timestamp` ms of media time: its quality and its mood, where they are known."""

    timestamp: int
    quality: CallQuality | None
    sentiment: Sentiment | None

    def record(self) -> dict[str, Any]:
        """The result as one JSON object of `python -m analysis --json`."""
        return {
            "record": "result",
            "timestamp": self.timestamp,
            "callQuality": self.quality.record() if self.quality else None,
            "sentiment": self.sentiment.record() if self.sentiment else None,
        }


Heard = CallEvent | Anomaly
"""What a finding is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One step in the life of an event or an anomaly: opened, raised (its severity grew) or closed.

    `key` is the same through the life of one, differs between those of a call, and is the same however the
    audio was cut.
    """

    key: str
    state: State
    event: Heard
