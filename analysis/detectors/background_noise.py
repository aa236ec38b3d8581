"""Background noise: what is heard between the words is not far below them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.detectors.condition import EverySecond, Logistic
from analysis.detectors.lives import Account, Desk, rank_by
from analysis.features import FRAMES_PER_S
from analysis.levels import Levels
from analysis.moment import Moment
from analysis.rows import Ints

_WINDOW_S = 10
_LONG_WINDOW_S = 30
_CONFIDENCE = Logistic(offset=-0.1, slope=0.95)  # margin: dB below the limit


@dataclass(frozen=True, slots=True)
class BackgroundNoiseThresholds:
    """Signal-to-noise ratios in dB, lengths in frames of 20 ms."""

    low_db: float = 20.0
    medium_db: float = 15.0
    high_db: float = 10.0
    better_db: float = 3.0
    least_speech_frames: int = 2 * FRAMES_PER_S
    steady_db: float = 8.0
    least_background_frames: int = FRAMES_PER_S * 3 // 10
    opens_after_s: int = 3
    ends_after_s: int = 10


class BackgroundNoise(EverySecond):
    """Finds channels whose speech is less than 20 dB louder than what is heard while nobody talks, over 10 s.

    What swings by more than 8 dB (standard deviation) is no background but something that was not recognised.
    """

    def __init__(self, desk: Desk, thresholds: BackgroundNoiseThresholds, levels: Levels) -> None:
        self._limits, self._levels = thresholds, levels
        super().__init__(
            desk, "background_noise", opens_after_s=thresholds.opens_after_s, ends_after_s=thresholds.ends_after_s
        )

    def judge(self, now: Moment) -> None:
        """See `EverySecond`."""
        rows, limits = now.seconds, self._limits
        second = now.end[rows, 0] // FRAMES_PER_S
        speech_dbov, spoken = self._levels.speech(rows, second, 0, _WINDOW_S)
        noise_dbov, spread_db, quiet = self._background(rows, second)
        lacking_db = limits.low_db - (speech_dbov - noise_dbov)
        judged = (spoken >= limits.least_speech_frames) & (quiet >= limits.least_background_frames)
        judged &= spread_db <= limits.steady_db
        rank = rank_by(lacking_db, limits.low_db - limits.medium_db, limits.low_db - limits.high_db)
        bad, better = lacking_db > 0, lacking_db < -limits.better_db
        self.condition.judge(rows, judged, bad, better, lacking_db, rank, now)

    def _background(self, rows: Ints, second: Ints) -> tuple[NDArray[Any], ...]:
        """`Levels.background` of 10 s, or of 30 s where people hardly pause."""
        short = self._levels.background(rows, second, 0, _WINDOW_S)
        long = self._levels.background(rows, second, 0, _LONG_WINDOW_S)
        enough = short[-1] >= self._limits.least_background_frames
        return tuple(np.where(enough, brief, lasting) for brief, lasting in zip(short, long, strict=True))

    def account(self, row: int, place: int) -> Account:
        """See `EverySecond`."""
        lacking_db = float(self.condition.worst[row, place])
        snr_db = self._limits.low_db - lacking_db
        return Account(
            _CONFIDENCE(lacking_db),
            f"There is noise behind the voice, only {snr_db:.0f} dB below it.",
            "Ask this party to go to a quieter place or to use a headset; if it hums or hisses, check the line.",
            {"snrDb": round(snr_db, 1)},
        )
