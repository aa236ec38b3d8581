"""Audio of any other rate brought to 8 or 16 kHz while it streams, the same however it was cut."""

from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

LOWEST_HZ, HIGHEST_HZ, STEP_HZ = 8_000, 96_000, 25
NATIVE_HZ = (8_000, 16_000)

_BLOCK_MS = 40  # the shortest time that is a whole number of samples at every multiple of 25 Hz
_CROSSINGS = 12  # zero crossings of the sinc on each side: about 70 dB of alias rejection with the window below
_KAISER_BETA = 7.0
_ROLL_OFF = 0.92  # cutoff as a share of the lower Nyquist frequency
_SCALE = 1 << 24  # taps are whole multiples of 2^-24, so that every sum is exact in float64


def check_rate(sample_rate: int) -> None:
    """Raise `ValueError` unless audio of this rate can be heard."""
    if not LOWEST_HZ <= sample_rate <= HIGHEST_HZ or sample_rate % STEP_HZ:
        raise ValueError(
            f"sample rate {sample_rate} Hz is not supported: "
            f"{LOWEST_HZ} to {HIGHEST_HZ} Hz in steps of {STEP_HZ} Hz are"
        )


def heard_rate(sample_rate: int) -> int:
    """The rate, Hz, at which audio of `sample_rate` is heard: 8000 below 16000, else 16000."""
    return NATIVE_HZ[0] if sample_rate < NATIVE_HZ[1] else NATIVE_HZ[1]


@cache
def _block_filter(sample_rate: int) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """What one block of output needs: (context, index, taps).

    `context` is the number of input samples needed on both sides of a block; `index` and `taps`, both
    (outputs of a block, taps of an output), say which samples of block and context are weighted how.
    Taps are a sinc under a Kaiser window, normalised to unity gain at 0 Hz (J. O. Smith, Digital Audio
    Resampling), in units of 2^-24.
    """
    ratio = Fraction(heard_rate(sample_rate), sample_rate)
    narrowing = min(1.0, float(ratio))
    context = int(np.ceil(_CROSSINGS / narrowing))
    outputs = np.arange(heard_rate(sample_rate) * _BLOCK_MS // 1000)
    whole, part = np.divmod(outputs * ratio.denominator, ratio.numerator)
    reach = np.arange(1 - context, context + 1)
    distance = reach[None, :] - (part / ratio.numerator)[:, None]
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (distance / context) ** 2)))
    taps = np.sinc(distance * narrowing * _ROLL_OFF) * window
    taps = np.rint(taps / taps.sum(axis=1, keepdims=True) * _SCALE)
    return context, whole[:, None] + reach[None, :] + context, taps


class Resampler:
    """One channel's way from its own rate to the one it is heard at.

    Works in blocks of 40 ms at fixed positions of the stream, each from the same samples whatever pieces
    they came in, in exact arithmetic: the output does not depend on how the input was cut. Sample n of
    the output belongs to the time of sample n·rate_in/rate_out of the input: there is no delay to correct.
    """

    def __init__(self, sample_rate: int) -> None:
        self._context, self._index, self._taps = _block_filter(sample_rate)
        self._ratio = Fraction(heard_rate(sample_rate), sample_rate)
        self._block = sample_rate * _BLOCK_MS // 1000
        self._pending = np.zeros(self._context, dtype=np.float64)  # samples a coming block still needs

    def reach(self, received: int) -> int:
        """Samples of output that `received` samples of input suffice for, while more may come."""
        blocks = max(0, received - self._context) // self._block
        return blocks * len(self._taps)

    def needed(self, outputs: int) -> int:
        """Samples of input that suffice for this many of output, while more may come."""
        return -(-outputs // len(self._taps)) * self._block + self._context

    def total(self, received: int) -> int:
        """Samples of output that `received` samples of input make in all."""
        return int(received * self._ratio)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take int16 samples (n,), give back those that can be made now, int16 (m,)."""
        self._pending = np.concatenate([self._pending, samples])
        done = [np.zeros(0, dtype=np.int16)]
        start = 0
        while start + self._block + 2 * self._context <= len(self._pending):
            done.append(self._convert(self._pending[start : start + self._block + 2 * self._context]))
            start += self._block
        self._pending = self._pending[start:].copy()
        return np.concatenate(done)

    def finish(self) -> NDArray[np.int16]:
        """The last samples, made as if silence followed; more of them than `total`, by the silence."""
        return self.push(np.zeros(self._block + self._context, dtype=np.int16))

    def _convert(self, window: NDArray[np.float64]) -> NDArray[np.int16]:
        sums = np.einsum("jk,jk->j", window[self._index], self._taps)
        rounded: NDArray[np.int16] = np.clip(np.rint(sums / _SCALE), -32768, 32767).astype(np.int16)
        return rounded
