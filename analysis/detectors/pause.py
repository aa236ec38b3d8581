"""Long pause: after speech, nobody speaks for seconds."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.lives import Desk, Lives, rank_by
from analysis.features import FRAMES_PER_S
from analysis.moment import Moment
from analysis.rows import Rows, counts, either, higher, some


@dataclass(frozen=True, slots=True)
class PauseThresholds:
    """Lengths in frames of 20 ms."""

    shortest_frames: int = 3 * FRAMES_PER_S
    medium_frames: int = 6 * FRAMES_PER_S
    high_frames: int = 10 * FRAMES_PER_S


class LongPause(Rows):
    """Finds stretches of 3 s from the end of the last talkspurt, or of music, in which no talkspurt begins.

    A run of speech too short to be judged yet holds the decision back until it is, and so does what may
    turn out to be music. Who hears music is on hold, which is no pause; nor is it known to be one while a
    channel is in a wrong format.
    """

    def __init__(self, desk: Desk, thresholds: PauseThresholds) -> None:
        self._limits = thresholds
        self.lives = Lives(desk, "long_pause", width=1)
        self.hold_until = counts(1)  # no pause began before
        self.rows = (self, self.lives)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        spurts = now.spurts
        resumed, speech_onset = spurts.resumed()
        self.lives.close(now.stepping & resumed, speech_onset)
        music, misread = (now.stepping & either(where) for where in (now.music.on, now.misread))
        self.lives.close(music, np.maximum(higher(now.music.since), self.lives.onset))
        if some(misread):
            self.lives.close(misread, np.maximum(higher(now.misread_from), self.lives.onset))
        hold = music | misread
        np.copyto(self.hold_until, now.end, where=hold)
        nobody = now.stepping & ~hold & ~either(spurts.running)
        onset = np.maximum(higher(spurts.until), self.hold_until)
        length = now.end - onset
        rank = rank_by(length, self._limits.medium_frames, self._limits.high_frames)
        self.lives.grow(nobody, now.end, rank)
        spoken = either(spurts.number > 0)
        judged = nobody & ~either(now.music.possible)
        opens = judged & spoken & ~self.lives.open & (length >= self._limits.shortest_frames)
        self.lives.begin(opens, onset, now.end, rank, now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over, and their pauses with them."""
        self.step(now)
        self.lives.close(now.stepping, now.end)
