"""The life of what is found: opened, raised and closed, each once, and handed in as findings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.features import FRAME_MS
from analysis.findings import Anomaly, CallEvent, Finding, Heard, State
from analysis.moment import Moment
from analysis.rows import Bools, Floats, Ints, Rows, counts, flags, some

SEVERITIES = ("info", "low", "medium", "high", "critical")
INFO, LOW, MEDIUM, HIGH, CRITICAL = range(5)


class Desk:
    """Where findings are handed in: knows the names of each row's channels, keeps what was found.

    Detectors may be some frames ahead of each other, so a finding is filed under the time of its call and the
    detector's place among the others.

    Attributes:
        end: (rows, 1), the time at which what is handed in was found, frames of the call.
        place: of the detector that hands in.
    """

    def __init__(self) -> None:
        self.names: dict[int, tuple[str, ...]] = {}
        self.end = counts(1)
        self.place = 0
        self._found: list[tuple[tuple[int, int], int, Finding]] = []

    def hand_in(self, row: int, state: State, event: Heard) -> None:
        """Take a finding about a row."""
        kind = event.metadata.get("kind", "")
        key = ":".join(filter(None, (event.type, kind, event.channel, str(event.timestamp))))
        self._found.append(((int(self.end[row, 0]), self.place), row, Finding(key, state, event)))

    def collect(self) -> list[tuple[int, Finding]]:
        """What was handed in since the last time, by row, in the order of each call's time."""
        found, self._found = self._found, []
        return [(row, finding) for _, row, finding in sorted(found, key=lambda filed: filed[0])]

    def shared_name(self, row: int) -> str:
        """The channel of an event about the whole call."""
        names = self.names[row]
        return names[0] if len(names) == 1 else "all"


class Lives(Rows):
    """Open events of one type: at most one for a call (`width` 1) or for a channel (`width` 2) at a time.

    Masks and positions are (rows, width) or broadcast to it; positions are frames, ranks index SEVERITIES.
    """

    def __init__(
        self,
        desk: Desk,
        type: str,
        width: int,
        metadata: Callable[[int, int], Mapping[str, Any]] = lambda row, place: {},
    ) -> None:
        self._desk, self._type, self._shared, self._metadata = desk, type, width == 1, metadata
        self.open = flags(width)
        self.onset = counts(width)
        self.rank = counts(width)
        self.detected = counts(width)

    def begin(self, where: Bools, onset: Ints, until: Ints, rank: Ints | int, now: Moment) -> None:
        """Open an event where told; its severity is `rank`."""
        if not some(where):
            return
        self.open |= where
        np.copyto(self.onset, onset, where=where)
        np.copyto(self.rank, rank, where=where)
        np.copyto(self.detected, now.known, where=where)
        self._hand_in(where, until, State.OPENED)

    def grow(self, where: Bools, until: Ints, rank: Ints) -> None:
        """Raise the open events among `where` whose severity has grown."""
        raised = where & self.open & (rank > self.rank)
        if some(raised):
            np.copyto(self.rank, rank, where=raised)
            self._hand_in(raised, until, State.RAISED)

    def close(self, where: Bools, until: Ints) -> None:
        """Close the open events among `where`."""
        closing = where & self.open
        if some(closing):
            self.open &= ~closing
            self._hand_in(closing, until, State.CLOSED)

    def _hand_in(self, where: Bools, until: Ints, state: State) -> None:
        ends = np.broadcast_to(until, where.shape)
        for row, place in np.argwhere(where).tolist():
            self._desk.hand_in(row, state, self._event(row, place, int(ends[row, place])))

    def _channel(self, row: int, place: int) -> str:
        return self._desk.shared_name(row) if self._shared else self._desk.names[row][place]

    def _event(self, row: int, place: int, end: int) -> Heard:
        onset = int(self.onset[row, place])
        return CallEvent(
            type=self._type,
            channel=self._channel(row, place),
            timestamp=onset * FRAME_MS,
            duration=(end - onset) * FRAME_MS,
            severity=SEVERITIES[self.rank[row, place]],
            detected_at=int(self.detected[row, place]) * FRAME_MS,
            metadata=self._metadata(row, place),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """What is said of an anomaly: see `Anomaly`."""

    confidence: float
    description: str
    recommendation: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


class AnomalyLives(Lives):
    """Open anomalies of one type; `account` is asked for their words each time one is handed in."""

    def __init__(self, desk: Desk, type: str, width: int, account: Callable[[int, int], Account]) -> None:
        super().__init__(desk, type, width)
        self._account = account

    def _event(self, row: int, place: int, end: int) -> Heard:
        onset, account = int(self.onset[row, place]), self._account(row, place)
        return Anomaly(
            type=self._type,
            channel=self._channel(row, place),
            timestamp=onset * FRAME_MS,
            duration=(end - onset) * FRAME_MS,
            severity=SEVERITIES[self.rank[row, place]],
            confidence=account.confidence,
            detected_at=int(self.detected[row, place]) * FRAME_MS,
            description=account.description,
            recommendation=account.recommendation,
            metadata=account.metadata,
        )


def rank_by(measure: Ints | Floats, *steps: float) -> Ints:
    """LOW, and one rank more for each of `steps` that is reached."""
    rank = np.full(measure.shape, LOW, dtype=np.int64)
    for step in steps:
        rank += measure >= step
    return rank
