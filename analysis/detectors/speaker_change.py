"""Speaker change: the floor passes from one party to the other."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.lives import INFO, SEVERITIES, Desk
from analysis.features import FRAME_MS, FRAMES_PER_S
from analysis.findings import CallEvent, State
from analysis.moment import Moment
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, some


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

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        spurts = now.spurts
        other_start, other_until = spurts.start[:, ::-1], spurts.until[:, ::-1]
        since = np.maximum(spurts.start, other_until)
        until = np.where(spurts.running[:, ::-1], np.minimum(spurts.last, other_start), spurts.last)
        takes = (until - since >= self._limits.alone_frames) & spurts.confirmed & now.two & now.stepping
        takes &= self.holder != _CHANNEL
        if some(takes):
            self._pass_on(takes, since + self._limits.alone_frames, now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: nobody takes the floor any more."""

    def _pass_on(self, takes: Bools, until: Ints, now: Moment) -> None:
        for row, channel in np.argwhere(takes).tolist():
            if self.holder[row, 0] != _NOBODY:
                self._hand_in(row, channel, int(until[row, channel]), now)
            self.holder[row, 0] = channel

    def _hand_in(self, row: int, channel: int, until: int, now: Moment) -> None:
        start = int(now.spurts.start[row, channel])
        event = CallEvent(
            type="speaker_change",
            channel=self._desk.names[row][channel],
            timestamp=start * FRAME_MS,
            duration=(until - start) * FRAME_MS,
            severity=SEVERITIES[INFO],
            detected_at=int(now.known[row, 0]) * FRAME_MS,
        )
        self._desk.hand_in(row, State.OPENED, event)
        self._desk.hand_in(row, State.CLOSED, event)
