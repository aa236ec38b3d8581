"""Overlap: both parties speak at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.detectors.lives import Desk, Lives, rank_by
from analysis.moment import Moment, Passage
from analysis.rows import Bools, Ints, both, higher, lower


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
        self._desk, self._limits = desk, thresholds
        self.lives = Lives(desk, "overlap", width=1)
        self.rows = (self.lives,)

    def hear(self, passage: Passage) -> None:
        """Judge the next frames of every call."""
        spurts = passage.spurts
        until, onset = lower(spurts.last), higher(spurts.start)
        confirmed = both(spurts.confirmed)
        overlapping = passage.stepping & passage.two & confirmed
        length = np.maximum(until - onset, 0)
        long_enough = overlapping & (length >= self._limits.shortest_frames)
        closes = passage.stepping & ~confirmed
        rank = self._limits.rank(length)
        for step in self._changes(overlapping, long_enough, closes, rank):
            now = passage.moments[step]
            self._desk.end = now.end
            self.lives.close(closes[step], until[step])
            self.lives.grow(overlapping[step], until[step], rank[step])
            opens = long_enough[step] & ~self.lives.open
            self.lives.begin(opens, onset[step], until[step], rank[step], now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: their talkspurts have ended, and so have the overlaps."""
        self.lives.close(now.stepping, lower(now.spurts.last))

    def _changes(self, overlapping: Bools, long_enough: Bools, closes: Bools, rank: Ints) -> list[int]:
        """The steps at which an overlap may begin, grow worse or end, of masks (steps, rows, 1)."""
        begins = long_enough & ~_before(self.lives.open, long_enough)
        grows = long_enough & (rank > _before(self.lives.rank, rank))
        ends = closes & _before(self.lives.open, overlapping)
        return np.flatnonzero((begins | grows | ends).any(axis=(1, 2))).tolist()


def _before(first: NDArray[Any], steps: NDArray[Any]) -> NDArray[Any]:
    """What was before each of the steps; `first` is what was before all."""
    return np.concatenate([first[None], steps[:-1]])
