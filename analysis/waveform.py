"""What damage leaves in the waveform of a frame: flat tops, constant runs, repeated blocks, bytes that were misread."""

import numpy as np
from numpy.typing import NDArray

from analysis.misreading import misread

UNITS_PER_MS = 16
"""Lengths are in sixteenths of a millisecond, in which samples of 8 and 16 kHz are whole."""

FRAME_UNITS = 20 * UNITS_PER_MS

MARKS = np.dtype(
    [
        ("peak", np.int32),  # greatest magnitude, 0..32768
        ("clipped", np.int32),  # length of its flat tops
        ("lead", np.int32),  # length of the constant run that it begins with
        ("trail", np.int32),  # length of the constant run that it ends with
        ("inner", np.int32),  # longest constant run of 9.5 ms or more between them, 0 if there is none
        ("inner_end", np.int32),  # where that run ends in the frame
        ("first", np.int16),  # its first sample
        ("last", np.int16),  # its last one
        ("blocks", np.uint64, (2,)),  # numbers that differ for 10 ms blocks that differ
        ("misread", np.int8),  # the `Misreading` that it looks like, 0 for none
    ]
)
"""A frame's marks. Lengths are in `UNITS_PER_MS`; none of them depends on other frames."""

Marks = NDArray[np.void]

RAIL = 32124
"""µ-law's greatest magnitude; A-law's is 32256."""

_LOUD_SQUARE = 32768.0**2 * 10.0 ** (-45 / 10)  # quieter frames are not looked at for flat tops
_NEAR_PEAK_PERMILLE = 985
_SHORTEST_FLAT = 3
_SHORTEST_RUN_UNITS = 10 * UNITS_PER_MS - 6
_FRAMES_AT_ONCE = 1024
_WEIGHTS = np.random.default_rng(1).integers(0, 2**63, 160, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def mark(samples: NDArray[np.int16], mean_square: NDArray[np.float64], tilt: NDArray[np.float64]) -> Marks:
    """Marks of frames given as int16 samples (frames, samples of 20 ms), with `Features` of theirs, (frames,)."""
    samples = np.ascontiguousarray(samples)
    marks = np.zeros(len(samples), dtype=MARKS)
    for first in range(0, len(samples), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        _mark_tops(samples[part], mean_square[part], marks[part])
        _mark_runs(samples[part], marks[part])
        marks["blocks"][part] = _blocks(samples[part])
    marks["misread"] = misread(samples, mean_square, tilt)
    return marks


def _mark_tops(samples: NDArray[np.int16], mean_square: NDArray[np.float64], marks: Marks) -> None:
    """Flat tops: runs of 3 samples or more within 1.5 % of the frame's peak, and whatever is at a rail."""
    loud = np.flatnonzero(mean_square >= _LOUD_SQUARE)
    magnitude = np.abs(samples[loud]).view(np.uint16)  # |-32768| is 32768 only without a sign
    peak = magnitude.max(axis=1, initial=0).astype(np.int64)
    marks["peak"][loud] = peak
    limit = -(-peak * _NEAR_PEAK_PERMILLE // 1000)
    near = np.flatnonzero(magnitude >= limit.astype(np.uint16)[:, None])
    length = samples.shape[1]
    begins = np.flatnonzero((np.diff(near, prepend=-2) != 1) | (near % length == 0))
    lengths = np.diff(begins, append=len(near))
    flat = np.repeat(lengths >= _SHORTEST_FLAT, lengths) | (magnitude.reshape(-1)[near] >= RAIL)
    clipped = np.bincount(near[flat] // length, minlength=len(loud))
    marks["clipped"][loud] = clipped * (FRAME_UNITS // length)


def _mark_runs(samples: NDArray[np.int16], marks: Marks) -> None:
    """Constant runs at both ends, and the longest between them."""
    length = samples.shape[1]
    unit = FRAME_UNITS // length
    marks["first"], marks["last"] = samples[:, 0], samples[:, -1]
    marks["lead"] = marks["trail"] = unit
    within = _has_run_within(samples)
    some = np.flatnonzero(within | (samples[:, 0] == samples[:, 1]) | (samples[:, -1] == samples[:, -2]))
    changes = samples[some, 1:] != samples[some, :-1]
    changed = changes.any(axis=1)
    marks["lead"][some] = np.where(changed, changes.argmax(axis=1) + 1, length) * unit
    marks["trail"][some] = np.where(changed, changes[:, ::-1].argmax(axis=1) + 1, length) * unit
    _mark_inner_runs(some[within[some] & changed], changes[within[some] & changed], unit, marks)


def _has_run_within(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Whether four samples are equal at a third or two thirds of a frame: one of them is in any run of 9.5 ms."""
    words = samples.view(np.uint64)[:, samples.shape[1] * 13 // 160 :: samples.shape[1] * 13 // 160][:, :2]
    sixteen = np.uint64(16)
    equal: NDArray[np.bool_] = (((words >> sixteen) ^ words) << sixteen == 0).any(axis=1)
    return equal


def _mark_inner_runs(frames: NDArray[np.intp], changes: NDArray[np.bool_], unit: int, marks: Marks) -> None:
    """The longest run that touches neither end; `changes` (frames, samples - 1) are true where a new run begins."""
    row, at = np.nonzero(changes)
    lengths = np.diff(at, prepend=0) * unit
    lengths[np.diff(row, prepend=-1) != 0] = 0  # what ends at a frame's first change is its lead
    for index in np.flatnonzero(lengths >= _SHORTEST_RUN_UNITS).tolist():
        frame = frames[row[index]]
        if lengths[index] > marks["inner"][frame]:
            marks["inner"][frame] = lengths[index]
            marks["inner_end"][frame] = (at[index] + 1) * unit


def _blocks(samples: NDArray[np.int16]) -> NDArray[np.uint64]:
    """A number for each 10 ms block, (frames, 2): a weighted sum of its words modulo 2^64, exact in any order."""
    words = samples.view(np.uint64)
    blocks = words.reshape(len(words), 2, -1)
    weights = _WEIGHTS[: words.shape[1]].reshape(2, -1)
    numbers: NDArray[np.uint64] = np.einsum("ijk,jk->ij", blocks, weights)
    return numbers
