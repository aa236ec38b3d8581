"""Audio read in another format than it was written in: loud noise that makes sense in the format it has."""

from collections.abc import Callable, Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from analysis.audio import Encoding, decode

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

_Reread = Callable[[bytes], NDArray[np.int16]]


class Misreading(IntEnum):
    """What the bytes of a frame look like."""

    NONE = 0
    MULAW_AS_LINEAR16 = 1
    ALAW_AS_LINEAR16 = 2
    SWAPPED_BYTES = 3
    LINEAR16_AS_MULAW = 4
    LINEAR16_AS_ALAW = 5
    ALAW_AS_MULAW = 6
    MULAW_AS_ALAW = 7
    NO_AUDIO = 8


_FULL_SCALE_SQUARE = 32768.0**2
_LOUD_SQUARE = _FULL_SCALE_SQUARE * 10.0 ** (-26 / 10)
_SMOOTH_TILT = 0.75
_QUIETER = 10.0 ** (-8 / 10)
_SMOOTHER = 0.05
_QUIET_SQUARE = _FULL_SCALE_SQUARE * 10.0 ** (-45 / 10)
"""Read as it was written, audio is at least 8 dB quieter, and smoother unless it is a pause; other bytes decode to
noise that is as loud."""

_UNIFORM_SQUARE = _FULL_SCALE_SQUARE * 10.0 ** (-6 / 10)  # evenly spread numbers have -4.8 dBov
_UNIFORM_CODES_SQUARE = _FULL_SCALE_SQUARE * 10.0 ** (-13 / 10)  # evenly spread G.711 codes have -10.3 dBov
_WHITE_TILT = 0.25
_HIGH, _HIGH_SHARE = 24576, 0.19  # of evenly spread numbers a quarter is higher, of normal noise as loud an eighth
_LOW, _LOW_SHARE = 1000, 0.35  # of evenly spread codes half are lower, of normal noise as loud a twelfth


def misread(
    samples: NDArray[np.int16], mean_square: NDArray[np.float64], tilt: NDArray[np.float64]
) -> NDArray[np.int8]:
    """The `Misreading` of frames given as int16 samples (frames, samples), with `Features` of theirs, (frames,).

    Only what is loud and not smooth is looked at: of rightly read speech one frame in 100.
    """
    found = np.zeros(len(samples), dtype=np.int8)
    odd = np.flatnonzero((mean_square >= _LOUD_SQUARE) & (tilt < _SMOOTH_TILT))
    if odd.size:
        found[odd] = _explain(np.ascontiguousarray(samples[odd]), mean_square[odd], tilt[odd])
    return found


def _explain(
    samples: NDArray[np.int16], mean_square: NDArray[np.float64], tilt: NDArray[np.float64]
) -> NDArray[np.int8]:
    """The misreading that makes a frame quietest, if that is quiet enough, or noise that is no audio at all."""
    found = _no_audio(samples, mean_square, tilt)
    least = mean_square * _QUIETER
    for misreading, frames, reread in _rereadings(samples):
        square, variation = _square(reread)
        quieter = np.flatnonzero(square <= least[frames])
        frames, square = frames[quieter], square[quieter]
        smoothness = _smoothness(reread[quieter], variation[quieter])
        better = (smoothness >= tilt[frames] + _SMOOTHER) | (square <= _QUIET_SQUARE)
        found[frames[better]] = misreading
        least[frames[better]] = square[better]
    return found


def _no_audio(
    samples: NDArray[np.int16], mean_square: NDArray[np.float64], tilt: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Where numbers or G.711 codes are spread evenly, as those of compressed or encrypted bytes are."""
    magnitude = np.abs(samples.astype(np.int32))
    numbers = (mean_square >= _UNIFORM_SQUARE) & ((magnitude >= _HIGH).mean(axis=1) >= _HIGH_SHARE)
    codes = (mean_square >= _UNIFORM_CODES_SQUARE) & ((magnitude < _LOW).mean(axis=1) >= _LOW_SHARE)
    spread = (np.abs(tilt) < _WHITE_TILT) & (numbers | codes)
    return np.where(spread, Misreading.NO_AUDIO, Misreading.NONE).astype(np.int8)


def _rereadings(samples: NDArray[np.int16]) -> Iterator[tuple[Misreading, _Ints, NDArray[np.int16]]]:
    """Each misreading, the frames (k,) that it can be, and their samples as they would have been written."""
    every, data = np.arange(len(samples)), samples.astype("<i2").tobytes()
    yield Misreading.MULAW_AS_LINEAR16, every, _framed(decode(data, Encoding.MULAW), every)
    yield Misreading.ALAW_AS_LINEAR16, every, _framed(decode(data, Encoding.ALAW), every)
    yield Misreading.SWAPPED_BYTES, every, samples.byteswap()
    codes = {read: _codes(samples, read) for read in _CODES}
    for misreading, read, reread in _FROM_CODES:
        known, data = codes[read]
        if known.size:
            yield misreading, known, _framed(reread(data), known)


def _framed(samples: NDArray[np.int16], frames: _Ints) -> NDArray[np.int16]:
    return samples.reshape(len(frames), -1)


def _codes(samples: NDArray[np.int16], read: Encoding) -> tuple[_Ints, bytes]:
    """The frames (k,) that were decoded from G.711, for all of their samples stand for a code; and those codes."""
    codes = np.take(_CODES[read], samples.view(np.uint16))
    known = np.flatnonzero((codes >= 0).all(axis=1))
    return known, codes[known].astype(np.uint8).tobytes()


def _square(samples: NDArray[np.int16]) -> tuple[_Floats, _Floats]:
    """Mean square of each frame without its mean, and length² times that: from exact sums."""
    x = samples.astype(np.float64)
    length = x.shape[1]
    variation = length * np.einsum("ij,ij->i", x, x) - x.sum(axis=1) ** 2
    return variation / length**2, variation


def _smoothness(samples: NDArray[np.int16], variation: _Floats) -> _Floats:
    """Correlation of each frame with itself a sample later: from exact sums."""
    x = samples.astype(np.float64)
    shared = x.shape[1] * np.einsum("ij,ij->i", x[:, 1:], x[:, :-1]) - x.sum(axis=1) ** 2
    smoothness: _Floats = np.divide(shared, variation, out=np.ones_like(shared), where=variation > 0)
    return smoothness


def _code_table(read: Encoding) -> NDArray[np.int16]:
    """The code of each of 2^16 samples, seen as a number without sign; -1 where there is none."""
    table = np.full(1 << 16, -1, dtype=np.int16)
    table[decode(bytes(range(256)), read).view(np.uint16)] = np.arange(256)
    return table


def _as_linear16(data: bytes) -> NDArray[np.int16]:
    return np.frombuffer(data, dtype="<i2")


def _as_swapped_linear16(data: bytes) -> NDArray[np.int16]:
    return np.frombuffer(data, dtype=">i2")


_CODES = {read: _code_table(read) for read in (Encoding.MULAW, Encoding.ALAW)}
_FROM_CODES: tuple[tuple[Misreading, Encoding, _Reread], ...] = (
    (Misreading.LINEAR16_AS_MULAW, Encoding.MULAW, _as_linear16),
    (Misreading.LINEAR16_AS_MULAW, Encoding.MULAW, _as_swapped_linear16),
    (Misreading.LINEAR16_AS_ALAW, Encoding.ALAW, _as_linear16),
    (Misreading.LINEAR16_AS_ALAW, Encoding.ALAW, _as_swapped_linear16),
    (Misreading.ALAW_AS_MULAW, Encoding.MULAW, lambda data: decode(data, Encoding.ALAW)),
    (Misreading.MULAW_AS_ALAW, Encoding.ALAW, lambda data: decode(data, Encoding.MULAW)),
)
"""Where a track's bytes were cut at an odd place, pairs are misaligned: the other order has the high bytes together."""
