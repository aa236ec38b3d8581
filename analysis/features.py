"""What a 20 ms frame is judged by, from exact sums over its samples and a spectrum in whole steps, so that batching
cannot change a bit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.rows import Bools, Floats
from analysis.spectrum import BANDS, HOPS, Levels, band_levels
from analysis.waveform import MARKS, Marks, mark

FRAME_MS = 20
FRAMES_PER_S = 1000 // FRAME_MS

SILENT_DBOV = -100.0
"""Level of a frame without any energy."""

_IDLE_MAGNITUDE = 8  # A-law has no zero: its idle code is ±8
_TILT_LAG_S = 1 / 8000
_FRAMES_AT_ONCE = 1024  # about 1 MB of float64, which stays in the cache
_STEPS_PER_DB = 10
_LEVEL_EDGES = 32768.0**2 * 10.0 ** ((np.arange(1001) / _STEPS_PER_DB + SILENT_DBOV) / 10.0)


@dataclass(frozen=True, slots=True)
class Features:
    """Features of frames, arrays of one shape (..., frames or channels), the bands with two axes more.

    Attributes:
        mean_square: of the samples as 16-bit numbers, without their mean, 0..2^30.
        level_dbov: 10·log10(mean_square / 2^30) in steps of 0.1 dB, -100..0.
        tilt: correlation of the signal with itself 125 µs later, -1..1: near 1 for voiced speech, 0 for
            white noise, negative for hiss.
        zero: every sample is the same, and no more than A-law's idle value away from 0.
        bands: levels of the bands in its two hops of 10 ms, (..., HOPS, BANDS), see `analysis.spectrum`.
        waveform: marks of damage, records of `analysis.waveform.MARKS`.
    """

    mean_square: Floats
    level_dbov: Floats
    tilt: Floats
    zero: Bools
    bands: Levels
    waveform: Marks

    @classmethod
    def of_nothing(cls, shape: tuple[int, ...]) -> "Features":
        """Features of frames without audio."""
        nothing = np.zeros(shape)
        bands = np.zeros((*shape, HOPS, BANDS), dtype=np.int16)
        marks = np.zeros(shape, dtype=MARKS)
        return cls(nothing, np.full(shape, SILENT_DBOV), nothing, nothing == 0, bands, marks)

    def at(self, step: int) -> "Features":
        """The features of one step of many."""
        return Features(*(getattr(self, name)[step] for name in Features.__slots__))


def level_dbov(mean_square: Floats) -> Floats:
    """Level of a mean square of 16-bit samples, rounded down to 0.1 dB; 0 dBov is a full-scale square wave.

    Looked up rather than computed: a vectorised logarithm may differ in its last bit with the length of
    the array.
    """
    steps = np.searchsorted(_LEVEL_EDGES, mean_square, side="right") - 1
    return SILENT_DBOV + np.maximum(steps, 0) / _STEPS_PER_DB


def measure(samples: NDArray[np.int16], before: NDArray[np.int16], sample_rate: int) -> Features:
    """Features of frames given as int16 samples (frames, samples of a frame), `before` the 10 ms before each."""
    parts = [
        _sums(samples[first : first + _FRAMES_AT_ONCE], round(sample_rate * _TILT_LAG_S))
        for first in range(0, len(samples), _FRAMES_AT_ONCE)
    ]
    total, squares, products = np.concatenate(parts, axis=1)
    length = samples.shape[1]
    variation = length * squares - total**2  # length² times the variance: whole, and below 2^53
    shared = length * products - total**2
    tilt = np.divide(shared, variation, out=np.zeros_like(shared), where=variation > 0)
    tilt = np.clip(tilt, -1.0, 1.0)
    mean_square = variation / length**2
    return Features(
        mean_square=mean_square,
        level_dbov=level_dbov(mean_square),
        tilt=tilt,
        zero=(variation == 0) & (np.abs(total) <= _IDLE_MAGNITUDE * length),
        bands=band_levels(samples, before),
        waveform=mark(samples, mean_square, tilt),
    )


def _sums(samples: NDArray[np.int16], lag: int) -> Floats:
    """Sums, sums of squares and sums of products `lag` samples apart, (3, frames): exact integers."""
    x = samples.astype(np.float64)
    return np.stack([x.sum(axis=1), np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", x[:, lag:], x[:, :-lag])])
