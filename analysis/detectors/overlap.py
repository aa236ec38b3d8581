"""Overlap: both parties speak at once."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.lives import Desk, Lives, rank_by
from analysis.moment import Moment
from analysis.rows import Ints, both, higher, lower


@dataclass(frozen=True, slots=True)
class OverlapThresholds:
    """Lengths in frames of 20 ms; interruptions are graded by the same."""

    shortest_frames: int = 10
    medium_frames: int = 50
    high_frames: int = 125

    def rank(self, frames: Ints) -> Ints:
        """How severe an overlap of this length is."""
        return rank_by(frames, self.medium_frames, self.high_frames)


class Overlap:
    """Finds intersections of two talkspurts of at least 200 ms, each by itself.

    The intersection known so far ends with the earlier of the two last active frames, so silence at its
    end never counts.
    """

    def __init__(self, desk: Desk, thresholds: OverlapThresholds) -> None:
        self._limits = thresholds
        self.lives = Lives(desk, "overlap", width=1)
        self.rows = (self.lives,)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        spurts = now.spurts
        until = lower(spurts.last)
        confirmed = both(spurts.confirmed)
        self.lives.close(now.stepping & ~confirmed, until)
        overlapping = now.stepping & now.two & confirmed
        onset = higher(spurts.start)
        length = np.maximum(until - onset, 0)
        rank = self._limits.rank(length)
        self.lives.grow(overlapping, until, rank)
        opens = overlapping & ~self.lives.open & (length >= self._limits.shortest_frames)
        self.lives.begin(opens, onset, until, rank, now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: their talkspurts have ended, and so have the overlaps."""
        self.step(now)
