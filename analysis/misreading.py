"""Audio read in another format than it was written in: loud noise that makes sense in the format it has."""

from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from analysis.audio import Encoding, decode

_Sense = tuple[NDArray[np.float64], NDArray[np.float64]]
_Reread = Callable[[NDArray[np.int16]], _Sense]


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
    for misreading, reread in _REREADINGS:
        square, smoothness = reread(samples)
        better = (square <= least) & ((smoothness >= tilt + _SMOOTHER) | (square <= _QUIET_SQUARE))
        found[better] = misreading
        least = np.where(better, square, least)
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


def _sense(samples: NDArray[np.int16]) -> _Sense:
    """Mean square without the mean of each row, and correlation with itself a sample later: from exact sums."""
    x = samples.astype(np.float64)
    length, total = x.shape[1], x.sum(axis=1)
    variation = length * np.einsum("ij,ij->i", x, x) - total**2
    shared = length * np.einsum("ij,ij->i", x[:, 1:], x[:, :-1]) - total**2
    return variation / length**2, np.divide(shared, variation, out=np.ones_like(shared), where=variation > 0)


def _as_codes(encoding: Encoding) -> _Reread:
    """Rereads the bytes of 16-bit numbers as G.711."""

    def reread(samples: NDArray[np.int16]) -> _Sense:
        return _sense(decode(samples.astype("<i2").tobytes(), encoding).reshape(len(samples), -1))

    return reread


def _from_codes(read: Encoding, reread: Callable[[bytes], NDArray[np.int16]]) -> _Reread:
    """Rereads what was decoded from G.711; samples that no code stands for were not."""
    values = decode(bytes(range(256)), read)
    code = np.full(1 << 16, -1, dtype=np.int16)
    code[values.astype(np.int64)] = np.arange(256)  # negative values index from the end

    def decoded(samples: NDArray[np.int16]) -> _Sense:
        codes = code[samples.astype(np.int64)]
        square, smoothness = np.full(len(samples), np.inf), np.zeros(len(samples))
        known = (codes >= 0).all(axis=1)
        if known.any():
            again = reread(codes[known].astype(np.uint8).tobytes())
            square[known], smoothness[known] = _sense(again.reshape(int(known.sum()), -1))
        return square, smoothness

    return decoded


def _as_linear16(data: bytes) -> NDArray[np.int16]:
    return np.frombuffer(data, dtype="<i2")


def _as_swapped_linear16(data: bytes) -> NDArray[np.int16]:
    return np.frombuffer(data, dtype=">i2")


_REREADINGS: tuple[tuple[Misreading, _Reread], ...] = (
    (Misreading.MULAW_AS_LINEAR16, _as_codes(Encoding.MULAW)),
    (Misreading.ALAW_AS_LINEAR16, _as_codes(Encoding.ALAW)),
    (Misreading.SWAPPED_BYTES, lambda samples: _sense(samples.byteswap())),
    (Misreading.LINEAR16_AS_MULAW, _from_codes(Encoding.MULAW, _as_linear16)),
    (Misreading.LINEAR16_AS_MULAW, _from_codes(Encoding.MULAW, _as_swapped_linear16)),
    (Misreading.LINEAR16_AS_ALAW, _from_codes(Encoding.ALAW, _as_linear16)),
    (Misreading.LINEAR16_AS_ALAW, _from_codes(Encoding.ALAW, _as_swapped_linear16)),
    (Misreading.ALAW_AS_MULAW, _from_codes(Encoding.MULAW, lambda data: decode(data, Encoding.ALAW))),
    (Misreading.MULAW_AS_ALAW, _from_codes(Encoding.ALAW, lambda data: decode(data, Encoding.MULAW))),
)
"""Where a track's bytes were cut at an odd place, pairs are misaligned: the other order has the high bytes together."""
