"""Speaker change: the floor passes from one party to the other."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.lives import INFO, SEVERITIES, Desk
from analysis.features import FRAME_MS, FRAMES_PER_S
from analysis.findings import CallEvent, State
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Rows, counts, either, ever


@dataclass(frozen=True, slots=True)
class SpeakerChangeThresholds:
    """Lengths in frames of 20 ms."""

    alone_frames: int = FRAMES_PER_S


_NOBODY = -1
_CHANNEL = np.arange(CHANNELS)[None, :]


class FloorChange(Rows):
    """Finds where the floor changes hands between two channels; it belongs to the last to speak alone for 1 s.

    A party is alone from the start of its talkspurt, or the end of the other's if that is later, up to its
    last active frame, or the start of the other's. The event begins with the talkspurt and is opened and
    closed at once, when the party has been alone for long enough: nothing more will be known of it.
    """

    def __init__(self, desk: Desk, thresholds: SpeakerChangeThresholds) -> None:
        self._desk, self._limits = desk, thresholds
        self.holder = counts(1, initial=_NOBODY)
        self.rows = (self,)

    def hear(self, passage: Passage) -> None:
        """Judge the next frames of every call."""
        spurts = passage.spurts
        other_start, other_until = spurts.start[..., ::-1], spurts.until[..., ::-1]
        since = np.maximum(spurts.start, other_until)
        until = np.where(spurts.running[..., ::-1], np.minimum(spurts.last, other_start), spurts.last)
        alone = (until - since >= self._limits.alone_frames) & spurts.confirmed & passage.two & passage.stepping
        changing = either(ever(alone & (self.holder != _CHANNEL)))
        for step, row, channel in np.argwhere(alone & changing).tolist():
            now = passage.moments[step]
            holder = int(self.holder[row, 0])
            self.holder[row, 0] = channel
            if holder not in (_NOBODY, channel):
                self._desk.end = now.end
                start, full = int(spurts.start[step, row, channel]), int(since[step, row, channel])
                self._hand_in(row, channel, start, full + self._limits.alone_frames, int(now.known[row, 0]))

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: nobody takes the floor any more."""

    def _hand_in(self, row: int, channel: int, start: int, until: int, known: int) -> None:
        event = CallEvent(
            type="speaker_change",
            channel=self._desk.names[row][channel],
            timestamp=start * FRAME_MS,
            duration=(until - start) * FRAME_MS,
            severity=SEVERITIES[INFO],
            detected_at=known * FRAME_MS,
        )
        self._desk.hand_in(row, State.OPENED, event)
        self._desk.hand_in(row, State.CLOSED, event)
