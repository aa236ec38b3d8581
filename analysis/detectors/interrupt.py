"""Interruption: one party starts while the other speaks, and the other yields."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.lives import CRITICAL, SEVERITIES, Desk
from analysis.detectors.overlap import OverlapThresholds
from analysis.features import FRAME_MS
from analysis.findings import CallEvent, State
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Rows, counts, flags, some
from analysis.talkspurts import Runs

_AGENT = "agent"


@dataclass(frozen=True, slots=True)
class InterruptThresholds:
    """Lengths in frames of 20 ms, all of them to be exceeded."""

    alone_before_frames: int = 5
    together_frames: int = 15
    alone_after_frames: int = 15


class Interrupt(Rows):
    """Finds where a talkspurt ends while the other party, who began during it, speaks on.

    With A's talkspurt [a0, a1) and B's from b: b − a0 > 100 ms, a1 − b > 300 ms, and B speaks beyond
    a1 + 300 ms. It is known only then, so it is opened and closed at once.
    """

    def __init__(self, desk: Desk, thresholds: InterruptThresholds, grades: OverlapThresholds) -> None:
        self._desk, self._limits, self._grades = desk, thresholds, grades
        self.waiting = flags(CHANNELS)  # this channel has yielded: does the other speak on?
        self.began = counts(CHANNELS)  # where the other began
        self.yielded = counts(CHANNELS)
        self.rows = (self,)

    def hear(self, passage: Passage) -> None:
        """Judge the next frames of every call."""
        spurts = passage.spurts
        began = spurts.start[..., ::-1]
        interrupted = (
            spurts.ended
            & spurts.running[..., ::-1]
            & (began - spurts.start > self._limits.alone_before_frames)
            & (spurts.last - began > self._limits.together_frames)
        )
        for step, now in enumerate(passage.moments):
            if some(self.waiting):
                self._desk.end = now.end
                self._resolve(now, spurts.at(step))
            if some(interrupted[step]):
                self.waiting |= interrupted[step]
                np.copyto(self.began, began[step], where=interrupted[step])
                np.copyto(self.yielded, spurts.last[step], where=interrupted[step])

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: who has not spoken on by now never will."""
        self._resolve(now, now.spurts.runs)

    def _resolve(self, now: Moment, spurts: Runs) -> None:
        """Where a party has yielded: does the other speak on?"""
        start, last = spurts.start[:, ::-1], spurts.last[:, ::-1]
        same = spurts.running[:, ::-1] & (start == self.began)
        spoken_on = self.waiting & now.stepping & (last - self.yielded > self._limits.alone_after_frames)
        for row, channel in np.argwhere(spoken_on & same).tolist():
            self._hand_in(row, channel, int(now.known[row, 0]))
        self.waiting &= ~(now.stepping & (spoken_on | ~same))

    def _hand_in(self, row: int, channel: int, known: int) -> None:
        names = self._desk.names[row]
        by = names[1 - channel]
        began = int(self.began[row, channel])
        length = int(self.yielded[row, channel]) - began
        rank = int(self._grades.rank(np.array([length]))[0]) + (by == _AGENT)
        event = CallEvent(
            type="interrupt",
            channel=names[channel],
            timestamp=began * FRAME_MS,
            duration=length * FRAME_MS,
            severity=SEVERITIES[min(rank, CRITICAL)],
            detected_at=known * FRAME_MS,
            metadata={"by": by},
        )
        self._desk.hand_in(row, State.OPENED, event)
        self._desk.hand_in(row, State.CLOSED, event)
