"""Band levels of every 10 ms, what all that listens to a spectrum shares: computed once, in whole half decibels."""

from itertools import groupby, pairwise

import numpy as np
import scipy.fft
from numpy.typing import NDArray

HOPS = 2
"""Hops of 10 ms in a frame."""

BAND_EDGES_HZ = (
    *(100, 200, 300, 400, 500, 600, 700, 800, 950, 1100, 1250, 1450, 1650, 1850, 2100, 2350, 2650, 2950, 3250, 3600),
    4000,
)
"""Edges of the bands, about as wide as the critical bands of the ear (E. Zwicker 1961)."""

BANDS = len(BAND_EDGES_HZ) - 1

STEPS_PER_DB = 2
"""Band levels are whole steps of half a decibel above -100 dBov: 0 (silent) to 200."""

QUIETEST_DBOV = -100.0

Levels = NDArray[np.int16]

_BIN_HZ = 50
_EDGE_BINS = tuple(edge // _BIN_HZ for edge in BAND_EDGES_HZ)
_WIDTHS = tuple(high - low for low, high in pairwise(_EDGE_BINS))
_EQUAL_WIDTHS = tuple((width, len(list(bands))) for width, bands in groupby(_WIDTHS))
"""Width in bins, and how many bands in a row have it: such are added up together."""

_FULL_SCALE_SQUARE = 2.0**30
_FRAMES_AT_ONCE = 192  # their windows, spectra and powers stay in the cache
_VECTOR = 16
"""Transforms side by side in one vector at most; a remainder of them may be rounded in other ways."""


def band_levels(samples: NDArray[np.int16], before: NDArray[np.int16]) -> Levels:
    """Levels of the bands in each hop of frames, (frames, HOPS, BANDS) in steps above -100 dBov.

    `samples` is (frames, samples of 20 ms), `before` (frames, samples of 10 ms) what came before each
    frame. A hop's spectrum is that of the 20 ms that end with it, under a Hann window, so it sees 10 ms
    back; its levels are exact to a step. Any split of the frames gives the same levels to the bit.
    """
    levels = np.empty((len(samples), HOPS, BANDS), dtype=np.int16)
    window = _window(samples.shape[1])
    for first in range(0, len(samples), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        power = _band_powers(_windows(samples[part], before[part]), window)
        levels[part] = _steps(power)[:, :, : len(samples[part])].T
    return levels


def _window(length: int) -> NDArray[np.float32]:
    """A Hann window, (length, 1, 1), scaled so that squared magnitudes of a spectrum sum to full-scale powers."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    scale = np.sqrt(2.0 / (length * np.square(hann).sum() * _FULL_SCALE_SQUARE))
    window: NDArray[np.float32] = (hann * scale).astype(np.float32)[:, None, None]
    return window


def _windows(samples: NDArray[np.int16], before: NDArray[np.int16]) -> NDArray[np.float32]:
    """What each hop is judged by, (samples of 20 ms, HOPS, frames rounded up to whole vectors)."""
    frames, length = samples.shape
    hop = length // HOPS
    windows = np.zeros((length, HOPS, -(-frames // _VECTOR) * _VECTOR), dtype=np.float32)
    windows[:hop, 0, :frames] = before.T
    windows[:, 1, :frames] = samples.T
    windows[hop:, 0] = windows[:hop, 1]
    return windows


def _band_powers(windows: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Powers of the bands, (BANDS, HOPS, frames), 1 for a full-scale square wave. Bins are added one after the other,
    so in the same order however many frames there are."""
    windows *= window
    spectrum = scipy.fft.rfft(windows, axis=0, overwrite_x=True)[_EDGE_BINS[0] : _EDGE_BINS[-1]]
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    bands = np.empty((BANDS, *power.shape[1:]), dtype=np.float32)
    band = low = 0
    for width, count in _EQUAL_WIDTHS:
        bins = power[low : low + count * width].reshape(count, width, *power.shape[1:])
        total = bands[band : band + count]
        np.add(bins[:, 0], bins[:, 1], out=total)
        for place in range(2, width):
            total += bins[:, place]
        band, low = band + count, low + count * width
    return bands


def _steps(power: NDArray[np.float32]) -> Levels:
    """Powers as steps above -100 dBov, looked up by exponent and the seven highest bits of the mantissa."""
    steps: Levels = np.take(_STEPS, power.view(np.uint32) >> 16)
    return steps


def _step_table() -> Levels:
    codes = np.arange(np.float32(1.0).view(np.uint32) >> 16, dtype=np.uint32)  # powers below 1
    power = (codes << 16).view(np.float32).astype(np.float64)
    decibels = 10.0 * np.log10(np.maximum(power, 10.0 ** (QUIETEST_DBOV / 10)))
    steps = np.full(1 << 15, -QUIETEST_DBOV * STEPS_PER_DB, dtype=np.int16)
    steps[: len(codes)] = np.floor((decibels - QUIETEST_DBOV) * STEPS_PER_DB)
    return steps


_STEPS = _step_table()
