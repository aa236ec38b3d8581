"""Volume spike: a channel is suddenly far louder than its speech has been."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.detectors.lives import MEDIUM, Desk, Lives
from analysis.features import FRAMES_PER_S, level_dbov
from analysis.moment import Moment
from analysis.rows import CHANNELS, Bools, Floats, Ints, Rows, counts, flags, some, values

_WINDOW_FRAMES = 5
_RECENT_FRAMES = 16  # more than a gap that talkspurts bridge
_NO_AUDIO = -np.inf  # a window with a missing frame has no level
_UNKNOWN_DBOV = -np.inf
_NO_REFERENCE_DBOV = np.inf
_FULL_SCALE = 32768.0
_LEVEL_STEP_DB = 0.1  # of `level_dbov`, by which a level may be lower than its mean square


@dataclass(frozen=True, slots=True)
class SpikeThresholds:
    """Gains in dB over the reference; lengths in frames of 20 ms."""

    medium_db: float = 10.0
    high_db: float = 16.0
    sustained_frames: int = 5
    over_after_frames: int = 10
    refractory_frames: int = 2 * FRAMES_PER_S
    reference_frames: int = 15 * FRAMES_PER_S
    least_reference_frames: int = FRAMES_PER_S * 3 // 2
    renew_every_frames: int = FRAMES_PER_S // 2


class VolumeSpike(Rows):
    """Finds windows of 100 ms, one every 20 ms, 10 dB over the reference for 100 ms or more.

    The reference is the median level of the channel's last 15 s of speech, the gaps within talkspurts included
    but not missing audio, renewed every 0.5 s of it. The event begins with the first such window and ends
    with the last, when none has followed for 200 ms; the next begins 2 s after that or later.
    """

    def __init__(self, desk: Desk, thresholds: SpikeThresholds) -> None:
        self._limits = thresholds
        self.lives = Lives(desk, "volume_spike", CHANNELS, self._metadata)
        self.window = values(CHANNELS, _WINDOW_FRAMES, initial=_NO_AUDIO)  # mean squares of the last frames
        self.recent_dbov = values(CHANNELS, _RECENT_FRAMES, initial=_UNKNOWN_DBOV)
        self.active_until = counts(CHANNELS)
        self.speech_dbov = values(CHANNELS, thresholds.reference_frames, initial=0.0)
        self.spoken = counts(CHANNELS)
        self.reference_dbov = values(CHANNELS, initial=_NO_REFERENCE_DBOV)
        self.suspect_square = values(CHANNELS, initial=np.inf)  # no window below it is loud
        self.loud = counts(CHANNELS)  # loud windows in a row
        self.loud_from = counts(CHANNELS)  # start of the first of them
        self.eligible = flags(CHANNELS)  # they began 2 s after the latest event or more
        self.event_until = counts(CHANNELS, initial=-thresholds.refractory_frames)  # end of its last loud window
        self.peak_square = values(CHANNELS)
        self.gain_db = values(CHANNELS)
        self.rows = (self, self.lives)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        mean_square = self._slide(now)
        loud = now.heard & (mean_square >= self.suspect_square)
        if some(loud):
            gain_db = level_dbov(np.maximum(mean_square, 0.0)) - self.reference_dbov
            loud &= gain_db >= self._limits.medium_db
            self._follow(now, loud, mean_square, gain_db)
        np.copyto(self.loud, 0, where=now.stepping & ~loud)
        over = now.stepping & (now.end - self.event_until >= self._limits.over_after_frames)
        self.lives.close(over, self.event_until)
        self._learn(now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over, and their spikes with them."""
        self.lives.close(now.stepping, self.event_until)

    def _slide(self, now: Moment) -> Floats:
        """Mean square of the window that ends with this frame; below 0 if part of it is missing."""
        latest = np.where(now.heard, now.frame.mean_square, _NO_AUDIO)
        rows = np.flatnonzero(now.stepping)
        self.window[rows, :, (now.end[rows, 0] - 1) % _WINDOW_FRAMES] = latest[rows]
        total = self.window[:, :, 0] + self.window[:, :, 1]
        for place in range(2, _WINDOW_FRAMES):
            total += self.window[:, :, place]
        total /= _WINDOW_FRAMES
        return total

    def _follow(self, now: Moment, loud: Bools, mean_square: Floats, gain_db: Floats) -> None:
        first = loud & (self.loud == 0)
        np.copyto(self.loud_from, now.end - _WINDOW_FRAMES, where=first)
        np.copyto(self.eligible, now.end - self.event_until > self._limits.refractory_frames, where=first)
        for peak, value in ((self.peak_square, mean_square), (self.gain_db, gain_db)):
            np.copyto(peak, np.where(first & ~self.lives.open, value, np.maximum(peak, value)), where=loud)
        self.loud += loud
        rank = MEDIUM + (self.gain_db >= self._limits.high_db)
        self.lives.grow(loud, now.end, rank)
        opens = loud & ~self.lives.open & self.eligible & (self.loud >= self._limits.sustained_frames)
        self.lives.begin(opens, self.loud_from, now.end, rank, now)
        np.copyto(self.event_until, now.end, where=loud & self.lives.open)

    def _learn(self, now: Moment) -> None:
        """Take the levels of active frames, and those of a gap in a talkspurt once it is known to be one."""
        rows = np.flatnonzero(now.stepping)
        latest = np.where(now.heard, now.frame.level_dbov, _UNKNOWN_DBOV)
        self.recent_dbov[rows, :, (now.end[rows, 0] - 1) % _RECENT_FRAMES] = latest[rows]
        goes_on = now.active & (now.spurts.start < self.active_until)
        gap = np.where(goes_on, now.end - 1 - self.active_until, 0)
        if some(gap > 0):
            self._take_gaps(gap, now)
        rows, channels = np.nonzero(now.active)
        self._take(rows, channels, now.frame.level_dbov[rows, channels])
        np.copyto(self.active_until, now.end, where=now.active)

    def _take_gaps(self, gap: Ints, now: Moment) -> None:
        """Take the frames of gaps of these lengths, the earliest first; missing audio is left out."""
        rows, channels = np.nonzero(gap)
        lengths = gap[rows, channels]
        for back in range(int(lengths.max()), 0, -1):
            reaches = lengths >= back
            row, channel = rows[reaches], channels[reaches]
            level_dbov = self.recent_dbov[row, channel, (now.end[row, 0] - 1 - back) % _RECENT_FRAMES]
            known = level_dbov != _UNKNOWN_DBOV
            self._take(row[known], channel[known], level_dbov[known])

    def _take(self, rows: Ints, channels: Ints, level_dbov: Floats) -> None:
        """Take levels of channels' speech, at most one of each; renew the reference when it is due."""
        spoken = self.spoken[rows, channels]
        self.speech_dbov[rows, channels, spoken % self._limits.reference_frames] = level_dbov
        spoken += 1
        self.spoken[rows, channels] = spoken
        due = (spoken >= self._limits.least_reference_frames) & (spoken % self._limits.renew_every_frames == 0)
        if some(due):
            rows, channels = rows[due], channels[due]
            known = np.minimum(spoken[due], self._limits.reference_frames)
            reference_dbov = _medians(self.speech_dbov[rows, channels], known)
            self.reference_dbov[rows, channels] = reference_dbov
            suspect_dbov = reference_dbov + self._limits.medium_db - _LEVEL_STEP_DB
            self.suspect_square[rows, channels] = _FULL_SCALE**2 * 10.0 ** (suspect_dbov / 10)

    def _metadata(self, row: int, place: int) -> Mapping[str, Any]:
        rms = float(np.sqrt(self.peak_square[row, place])) / _FULL_SCALE
        return {"level": round(rms, 3), "gainDb": round(float(self.gain_db[row, place]), 1)}


def _medians(levels: Floats, known: Ints) -> Floats:
    """Median of the first `known` of each row of levels, (rows,); unknown ones are 0, the highest level."""
    ordered = np.sort(levels, axis=1)
    row = np.arange(len(levels))
    middle: Floats = (ordered[row, (known - 1) // 2] + ordered[row, known // 2]) / 2
    return middle
