"""One source: do both channels of a call carry the same sound?"""

from dataclasses import dataclass

import numpy as np

from analysis.features import Features
from analysis.rows import CHANNELS, Bools, Rows, both, counts, either, values


@dataclass(frozen=True, slots=True)
class OneSourceThresholds:
    """When two frames are the same sound, and how many make one source."""

    gain_db: float = 0.3
    tilt: float = 0.01
    certain_frames: int = 3
    most_frames: int = 12
    doubt_frames: int = 3
    equal_db: float = 0.5


class OneSource(Rows):
    """Finds a channel that is a copy of the other, at the same time and whatever its gain.

    Where somebody is active, two frames agree if their level differs by what it did before, to 0.3 dB, and
    their tilt by less than 0.01. Each frame that agrees counts for one and each that does not against
    three, between 0 and 12; from 3 on there is one source. It belongs to the louder channel, to the first
    if they are equal.

    Attributes:
        one: (rows, 1), there is one source.
    """

    def __init__(self, thresholds: OneSourceThresholds) -> None:
        self._limits = thresholds
        self.agreed = counts(1)
        self.gain_db = values(1)  # of the first channel over the second

    @property
    def one(self) -> Bools:
        """Where both channels carry the same, (rows, 1)."""
        one: Bools = self.agreed >= self._limits.certain_frames
        return one

    def step(self, frame: Features, heard: Bools, active: Bools) -> Bools:
        """Take one frame of each row, `heard` and `active` (rows, channels). Returns which channel is a copy,
        (rows, channels)."""
        limits = self._limits
        gain_db = frame.level_dbov[:, :1] - frame.level_dbov[:, 1:]
        tilt = np.abs(frame.tilt[:, :1] - frame.tilt[:, 1:])
        fresh = self.agreed == 0
        alike = (fresh | (np.abs(gain_db - self.gain_db) <= limits.gain_db)) & (tilt <= limits.tilt)
        judged = both(heard) & either(active)
        np.copyto(self.gain_db, gain_db, where=judged & fresh)
        change = np.where(alike, 1, -limits.doubt_frames) * judged
        self.agreed = np.minimum(np.maximum(self.agreed + change, 0), limits.most_frames)
        copy = np.where(self.gain_db < -limits.equal_db, 0, 1)
        copies: Bools = self.one & (np.arange(CHANNELS) == copy)
        return copies
