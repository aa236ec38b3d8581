"""Tones of the telephone: DTMF, ringback, busy, dial and the like, which are no speech."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.features import Features
from analysis.lookahead import LOOK_AHEAD_FRAMES
from analysis.rows import CHANNELS, Bools, Ints, Rows, flags, shifted
from analysis.spectrum import BANDS, HOPS, STEPS_PER_DB

_PAST_FRAMES = 6
_AROUND_FRAMES = 2 * LOOK_AHEAD_FRAMES + 1
_BEATS = ((2, 0.5), (5, 1.0), (10, 1.0))
_DTMF_LAG, _DTMF_DB = 2, 1.0
_LOW_GROUP = slice(5, 9)  # bands of 600 to 1100 Hz
_HIGH_GROUP = slice(9, 14)  # of 1100 to 2100 Hz
_POWERS = np.rint(1000.0 * 10.0 ** (np.arange(256) / (10 * STEPS_PER_DB)))  # whole: their sums are exact
_FEW_BANDS = 8

Hops = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class ToneThresholds:
    """When a sound is a tone. Levels dBov, margins dB."""

    quietest_dbov: float = -45.0
    outside_db: float = -18.0
    main_db: float = 15.0
    twist_db: float = 10.0


class Tones(Rows):
    """Finds sounds of one or two steady sinusoids.

    A hop is narrow if all but 18 dB of its power is in two bands and those beside them. It is steady if no band
    within 15 dB of the strongest has changed since 20 ms before by more than 0.5 dB, or since 50 or 100 ms before by
    more than 1 dB: by then two sinusoids that beat (440 and 480 Hz, 350 and 440 Hz) are back where they were. Two
    hops in a row, narrow and steady, are a tone; of two sinusoids in the groups of DTMF, less than 10 dB apart,
    one is enough, steady to 1 dB. Voices are narrow or steady, hardly ever both.

    The frames around a tone, 40 ms on both sides, are those in which it begins and ends.
    """

    def __init__(self, thresholds: ToneThresholds) -> None:
        self._limits = thresholds
        self.bands = np.zeros((1, _PAST_FRAMES, CHANNELS, HOPS, BANDS), dtype=np.int16)  # of the frames before
        self.marks = flags(_AROUND_FRAMES - 1, CHANNELS)  # which of the frames before were tones

    def judge(self, frames: Features, heard: Bools, lengths: Ints) -> Bools:
        """Take the next frames of all rows as they come, (steps, rows, channels) of which `lengths` (rows,) count;
        say of as many that came LOOK_AHEAD_FRAMES before each whether they are in or beside a tone."""
        line, self.bands = shifted(self.bands, frames.bands, lengths)
        loud = heard & (frames.level_dbov >= self._limits.quietest_dbov)
        marks, self.marks = shifted(self.marks, self._tonal(line, loud), lengths)
        beside = [marks[place : place + len(heard)] for place in range(_AROUND_FRAMES)]
        tones: Bools = np.any(beside, axis=0)
        return tones

    def _tonal(self, line: Hops, loud: Bools) -> Bools:
        """Which frames hold a tone; `line` is _PAST_FRAMES longer than `loud` (steps, rows, channels)."""
        tonal = np.zeros_like(loud)
        steps, rows, channels = np.nonzero(loud)
        latest = line[steps + _PAST_FRAMES, rows, channels, -1]
        few = (latest >= latest.max(axis=1, keepdims=True) - 12 * STEPS_PER_DB).sum(axis=1) <= _FEW_BANDS
        places = (steps[few], rows[few], channels[few])
        narrow = self._narrow(latest[few])
        places = (places[0][narrow], places[1][narrow], places[2][narrow])
        if len(places[0]):
            tonal[places] = self._is_tone(line, places)
        return tonal

    def _is_tone(self, line: Hops, places: tuple[Ints, Ints, Ints]) -> Bools:
        """Whether the frames at `places` (step, row, channel) hold a tone: their two hops and the one before."""
        last = HOPS * (places[0] + _PAST_FRAMES) + HOPS - 1
        hops = np.stack([last - 2, last - 1, last])

        def levels(hop: Ints) -> Hops:
            found: Hops = line[hop // HOPS, places[1], places[2], hop % HOPS]
            return found

        present = levels(hops)
        narrow = self._narrow(present)
        tone = np.zeros(len(last), dtype=np.bool_)
        for lag, tolerance_db in _BEATS:
            steady = narrow & self._steady(present, levels(hops - lag), tolerance_db)
            tone |= (steady[1:] & steady[:-1]).any(axis=0)
        dual = narrow & self._dual(present) & self._steady(present, levels(hops - _DTMF_LAG), _DTMF_DB)
        return tone | dual[1:].any(axis=0)

    def _narrow(self, levels: Hops) -> Bools:
        """All but little of the power (..., BANDS) is in two bands and those beside them."""
        power = _POWERS[levels]
        whole = power.sum(axis=-1)
        for _ in range(2):
            strongest = power.argmax(axis=-1)[..., None]
            power = np.where(np.abs(np.arange(BANDS) - strongest) <= 1, 0.0, power)
        narrow: Bools = power.sum(axis=-1) <= whole * 10.0 ** (self._limits.outside_db / 10)
        return narrow

    def _steady(self, levels: Hops, before: Hops, tolerance_db: float) -> Bools:
        """No main band of either has changed by more than the tolerance."""
        below = round(self._limits.main_db * STEPS_PER_DB)
        main = levels >= levels.max(axis=-1, keepdims=True) - below
        main |= before >= before.max(axis=-1, keepdims=True) - below
        steady: Bools = (~main | (np.abs(levels - before) <= tolerance_db * STEPS_PER_DB)).all(axis=-1)
        return steady

    def _dual(self, levels: Hops) -> Bools:
        """The strongest bands are one of each group of DTMF."""
        low, high = levels[..., _LOW_GROUP].max(axis=-1), levels[..., _HIGH_GROUP].max(axis=-1)
        twisted = np.minimum(low, high) < levels.max(axis=-1) - self._limits.twist_db * STEPS_PER_DB
        dual: Bools = (np.maximum(low, high) == levels.max(axis=-1)) & ~twisted
        return dual
