"""Volume inconsistency: a party gets much louder or quieter, or one is much quieter than the other."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.condition import EverySecond, Logistic
from analysis.detectors.lives import Account, Desk, rank_by
from analysis.features import FRAMES_PER_S
from analysis.levels import MEMORY_S, Levels
from analysis.moment import Moment
from analysis.rows import CHANNELS, Floats, Ints, flags, values

_WINDOW_S = 10
_CONFIDENCE = Logistic(offset=0.3, slope=0.8)  # margin: dB beyond the limit


@dataclass(frozen=True, slots=True)
class VolumeInconsistencyThresholds:
    """Differences of levels in dB, lengths in frames of 20 ms."""

    low_db: float = 10.0
    medium_db: float = 16.0
    better_db: float = 3.0
    least_speech_frames: int = 2 * FRAMES_PER_S
    least_reference_frames: int = 4 * FRAMES_PER_S
    opens_after_s: int = 11
    ends_after_s: int = 10


class VolumeInconsistency(EverySecond):
    """Finds levels of speech, over 10 s, that differ by more than 10 dB for two windows or more.

    A channel is compared with itself up to a minute before, the last 20 s left out, and with the other's
    latest level; then the quieter one is meant. A level that stays becomes the usual one within a minute.
    """

    def __init__(self, desk: Desk, thresholds: VolumeInconsistencyThresholds, levels: Levels) -> None:
        self._limits, self._levels = thresholds, levels
        super().__init__(
            desk, "volume_inconsistency", opens_after_s=thresholds.opens_after_s, ends_after_s=thresholds.ends_after_s
        )
        self.latest_dbov = values(CHANNELS)  # of the last window with enough speech
        self.known = flags(CHANNELS)  # there was one
        self.change_db = values(CHANNELS)  # against itself, in the second that is told of
        self.below_other_db = values(CHANNELS)

    def judge(self, now: Moment) -> None:
        """See `EverySecond`."""
        rows, limits = now.seconds, self._limits
        second = now.end[rows, 0] // FRAMES_PER_S
        level_dbov, spoken = self._levels.speech(rows, second, 0, _WINDOW_S)
        judged = spoken >= limits.least_speech_frames
        self.latest_dbov[rows] = np.where(judged, level_dbov, self.latest_dbov[rows])
        self.known[rows] |= judged
        change_db = self._change(rows, second, level_dbov)
        below_db = self._below_other(rows)
        difference_db = np.maximum(np.abs(change_db), below_db)
        worse = judged & (difference_db > np.maximum(self.condition.worst[rows], limits.low_db))
        self.change_db[rows] = np.where(worse, change_db, self.change_db[rows])
        self.below_other_db[rows] = np.where(worse, below_db, self.below_other_db[rows])
        bad, better = difference_db > limits.low_db, difference_db < limits.low_db - limits.better_db
        rank = rank_by(difference_db, limits.medium_db)
        self.condition.judge(rows, judged, bad, better, difference_db, rank, now)

    def _change(self, rows: Ints, second: Ints, level_dbov: Floats) -> Floats:
        """By how much a channel is louder than it was, dB; 0 if that is not known."""
        usual_dbov, spoken = self._levels.speech(rows, second, 2 * _WINDOW_S, MEMORY_S)
        return np.where(spoken >= self._limits.least_reference_frames, level_dbov - usual_dbov, 0.0)

    def _below_other(self, rows: Ints) -> Floats:
        """By how much a channel is quieter than the other, dB; 0 if that is not known."""
        latest_dbov = self.latest_dbov[rows]
        both = self.known[rows].all(axis=1, keepdims=True)
        return np.where(both, latest_dbov[:, ::-1] - latest_dbov, 0.0)

    def account(self, row: int, place: int) -> Account:
        """See `EverySecond`."""
        change_db, below_db = float(self.change_db[row, place]), float(self.below_other_db[row, place])
        difference_db = float(self.condition.worst[row, place])
        what = _describe(change_db, below_db)
        return Account(
            _CONFIDENCE(difference_db - self._limits.low_db),
            what,
            "Ask this party to keep the same distance to the microphone, and level the gains of the two lines.",
            {"differenceDb": round(difference_db, 1)},
        )


def _describe(change_db: float, below_db: float) -> str:
    if abs(change_db) < below_db:
        return f"This party is {below_db:.0f} dB quieter than the other."
    return f"This party has become {abs(change_db):.0f} dB {'louder' if change_db > 0 else 'quieter'}."
