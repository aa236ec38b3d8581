"""Distortion: speech whose peaks are cut off."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.condition import EverySecond, Logistic
from analysis.detectors.lives import Account, Desk, rank_by
from analysis.features import FRAMES_PER_S
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Bools, Floats, Ints, counts, some
from analysis.waveform import FRAME_UNITS

_WINDOW_S = 5
_SPOKEN = 3  # of the four amounts that are kept of a second
_CONFIDENCE = Logistic(offset=2.2, slope=0.6)  # margin: octaves beyond the limit


@dataclass(frozen=True, slots=True)
class DistortionThresholds:
    """Shares of the active samples that are clipped, percent."""

    low_percent: float = 0.1
    medium_percent: float = 0.5
    high_percent: float = 2.0
    least_active_frames: int = FRAMES_PER_S * 3 // 2
    least_clipped_frames: int = 4
    least_clipped_seconds: int = 2
    near_peak_permille: int = 985
    ends_after_s: int = 10


class Distortion(EverySecond):
    """Finds flat tops near the highest peak of a second, and samples at G.711's rails, in 5 s of speech.

    Flat tops are counted against the peak of their own frame (`analysis.waveform`), and a frame counts if
    its peak is within 1.5 % of the highest of its second so far: what clips, clips every time at the same
    level, so the two agree, and no sample of the second need be kept. For the same reason seconds with a
    lower peak than the highest of the 5 s do not count, and four frames in two seconds must clip: a held
    vowel in G.711's coarse steps may have flat tops as well, but not again at the same level.
    """

    def __init__(self, desk: Desk, thresholds: DistortionThresholds) -> None:
        self._limits = thresholds
        super().__init__(desk, "distortion", ends_after_s=thresholds.ends_after_s)
        self.peak = counts(CHANNELS)  # the highest in this second
        self.flat = counts(CHANNELS)  # length of flat tops near it
        self.flat_frames = counts(CHANNELS)  # frames that have some
        self.spoken = counts(CHANNELS)  # active frames
        self.seconds = counts(CHANNELS, 4, _WINDOW_S)  # these four of the last seconds

    def hear(self, passage: Passage) -> None:
        """See `EverySecond`."""
        marks, active = passage.frame.waveform, passage.active
        peaks, clipped = (np.where(active, marks[name], 0) for name in ("peak", "clipped"))
        for step in range(len(active)):
            self._follow(peaks[step], clipped[step])
            if passage.second.seconds.size:
                self._keep(passage.ended(step), passage.second)
        spoken = passage.tally(active, self.spoken)
        rows = passage.second.seconds
        self.seconds[rows, :, _SPOKEN, _slot(rows, passage.second)] = spoken
        super().hear(passage)

    def judge(self, now: Moment) -> None:
        """See `EverySecond`."""
        rows, limits = now.seconds, self._limits
        percent, often = self._share(self.seconds[rows])
        bad = (percent >= limits.low_percent) & often
        rank = rank_by(percent, limits.medium_percent, limits.high_percent)
        judged = self.seconds[rows, :, _SPOKEN].sum(axis=2) >= limits.least_active_frames
        self.condition.judge(rows, judged, bad, ~bad, percent, rank, now)

    def _follow(self, peak: Ints, clipped: Ints) -> None:
        """Take one frame of every call; 0 where it is not active."""
        higher = peak * self._limits.near_peak_permille > self.peak * 1000
        if some(higher):
            self.flat[higher] = self.flat_frames[higher] = 0
        clips = clipped > 0
        if some(clips):
            clips &= peak * 1000 >= self.peak * self._limits.near_peak_permille
            self.flat += clipped * clips
            self.flat_frames += clips
        np.maximum(self.peak, peak, out=self.peak)

    def _keep(self, rows: Ints, now: Moment) -> None:
        """A second has ended in these rows."""
        slot = _slot(rows, now)
        for place, amount in enumerate((self.peak, self.flat, self.flat_frames)):
            self.seconds[rows, :, place, slot] = amount[rows]
            amount[rows] = 0

    def _share(self, seconds: Ints) -> tuple[Floats, Bools]:
        """Percent of the active samples that are clipped, and whether that is often enough to be no chance."""
        peak, flat, frames, active = np.moveaxis(seconds, 2, 0)
        near = peak * 1000 >= peak.max(axis=2, keepdims=True) * self._limits.near_peak_permille
        percent = 100.0 * (flat * near).sum(axis=2) / (np.maximum(active.sum(axis=2), 1) * FRAME_UNITS)
        often = (frames * near).sum(axis=2) >= self._limits.least_clipped_frames
        return percent, often & ((flat * near > 0).sum(axis=2) >= self._limits.least_clipped_seconds)

    def account(self, row: int, place: int) -> Account:
        """See `EverySecond`."""
        percent = float(self.condition.worst[row, place])
        return Account(
            _CONFIDENCE(np.log2(percent / self._limits.low_percent)),
            f"The voice is distorted: {percent:.1f} % of it is cut off at the top.",
            "Lower the microphone or line gain of this party; it is too loud for the equipment before us.",
            {"clippedShare": round(percent / 100, 4)},
        )


def _slot(rows: Ints, now: Moment) -> Ints:
    """Where the second that ended in these rows is kept."""
    slot: Ints = now.end[rows, 0] // FRAMES_PER_S % _WINDOW_S
    return slot
