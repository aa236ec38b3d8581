"""State of many calls side by side: NumPy arrays with one row a call, which grow and are used again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Pairs = tuple[Ints, Ints]
"""Rows and channels, (k,) each."""

Places = tuple[Ints, Ints, Ints]
"""Steps, rows and channels, (k,) each."""

CHANNELS = 2
"""Places for channels in a row; a mono call leaves the second unused."""


def flags(*shape: int) -> Bools:
    """One row of flags, all down."""
    return np.zeros((1, *shape), dtype=np.bool_)


def counts(*shape: int, initial: int = 0) -> Ints:
    """One row of whole numbers."""
    return np.full((1, *shape), initial, dtype=np.int64)


def values(*shape: int, initial: float = 0.0) -> Floats:
    """One row of real numbers."""
    return np.full((1, *shape), initial, dtype=np.float64)


def some(values: Bools | Ints) -> bool:
    """Whether any is true, or not 0: as `any`, in less time for as few as a step looks at."""
    return bool(np.count_nonzero(values))


def either(channels: Bools) -> Bools:
    """Where one channel or the other is true, (..., channels) to (..., 1): as `any`, which takes many times as
    long along so short an axis."""
    return channels[..., :1] | channels[..., 1:]


def both(channels: Bools) -> Bools:
    """Where both are, as `either`."""
    return channels[..., :1] & channels[..., 1:]


def lower(channels: Ints) -> Ints:
    """The lower number of both channels, (..., channels) to (..., 1)."""
    lowest: Ints = np.minimum(channels[..., :1], channels[..., 1:])
    return lowest


def higher(channels: Ints) -> Ints:
    """The higher number of both channels, (..., channels) to (..., 1)."""
    highest: Ints = np.maximum(channels[..., :1], channels[..., 1:])
    return highest


def ever(steps: Bools) -> Bools:
    """Where any of the steps, the first axis, is true."""
    found: Bools = np.logical_or.reduce(steps, axis=0)
    return found


def pairs(where: Bools) -> Pairs:
    """Where (rows, channels) is true."""
    rows, channels = np.nonzero(where)
    return rows, channels


def places(where: Bools) -> Places:
    """Where (steps, rows, channels) is true, step by step."""
    steps, rows, channels = np.nonzero(where)
    return steps, rows, channels


def shifted(before: NDArray[Any], frames: NDArray[Any], lengths: Ints) -> tuple[NDArray[Any], NDArray[Any]]:
    """The next frames of all rows, (steps, rows, ...) of which `lengths` (rows,) count, behind the few `before` them
    (rows, few, ...): (few + steps, rows, ...). And the last few of each row, which are before its next frames."""
    line = np.concatenate([before.swapaxes(0, 1), frames])
    return line, last(line, before.shape[1], lengths)


def last(line: NDArray[Any], few: int, lengths: Ints) -> NDArray[Any]:
    """The last few frames of each row of such a line, (rows, few, ...)."""
    steps = len(line) - few
    latest = line[steps:].copy()
    shorter = np.flatnonzero(lengths < steps)
    latest[:, shorter] = line[lengths[shorter] + np.arange(few)[:, None], shorter]
    return latest.swapaxes(0, 1)


class Rows:
    """Something that keeps arrays with one row a call.

    A subclass makes its arrays in `__init__` with a single row, the row of a call that has just begun.
    `resize` must be called before the first use.
    """

    def resize(self, rows: int) -> None:
        """Give every array `rows` rows; the new ones are those of calls that have just begun."""
        if not hasattr(self, "_fresh"):
            self._fresh = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
            for name, array in self._fresh.items():
                setattr(self, name, np.repeat(array, rows, axis=0))
            return
        for name, fresh in self._fresh.items():
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.repeat(fresh, rows - len(old), axis=0)]))

    def restart(self, row: int) -> None:
        """Make a row that of a call that has just begun."""
        for name, fresh in self._fresh.items():
            getattr(self, name)[row] = fresh[0]
