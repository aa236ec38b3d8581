"""What the engine says it heard: frozen values, no behaviour beyond their JSON record."""

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
        type: `overlap`, `interrupt`, `long_pause`, `silence` or `volume_spike`.
        channel: a name of the stream, `all`, or `mixed` for mono.
        timestamp: where it began, ms.
        duration: how long it has lasted so far, ms; final in a closed finding.
        severity: `low`, `medium`, `high` or `critical`.
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
class Finding:
    """One step in the life of an event: opened, raised (its severity grew) or closed.

    `key` is the same through the life of one event, differs between events of a call, and is the same
    however the audio was cut.
    """

    key: str
    state: State
    event: CallEvent
