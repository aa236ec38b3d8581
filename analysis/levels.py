"""How loud a channel's speech and its background are: sums of each second, kept for the last minute."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.features import FRAMES_PER_S, level_dbov
from analysis.moment import Moment
from analysis.rows import CHANNELS, Floats, Ints, Rows, counts, either, values

MEMORY_S = 60
"""How many seconds are kept."""

_DECAY_FRAMES = 5
_TENTHS = 10  # levels are summed up in tenths of a decibel: whole numbers, so that no order matters


class Levels(Rows):
    """Sums over the frames of each second.

    Speech is what is active. Background is what is heard while neither party has been active for 100 ms:
    before, the voice still dies away, and the other party's echo would pass for noise. Zeros are no
    background: a lost packet tells nothing of it.

    Attributes:
        usual_dbov: (rows, channels), level of the last minute's speech; infinite while there is none.
    """

    def __init__(self) -> None:
        self.still = counts(1)  # frames since somebody was active
        self.square = values(CHANNELS)  # of this second: powers of speech, frames of it
        self.spoken = counts(CHANNELS)
        self.tenths = counts(CHANNELS)  # of this second: levels of background, frames of it
        self.squared_tenths = counts(CHANNELS)
        self.quiet = counts(CHANNELS)
        self.speech_square = values(CHANNELS, MEMORY_S)
        self.speech_frames = counts(CHANNELS, MEMORY_S)
        self.quiet_tenths = counts(CHANNELS, MEMORY_S)
        self.quiet_squared_tenths = counts(CHANNELS, MEMORY_S)
        self.quiet_frames = counts(CHANNELS, MEMORY_S)
        self.usual_dbov = values(CHANNELS, initial=np.inf)

    def step(self, now: Moment) -> None:
        """Take one frame of every call."""
        frame = now.frame
        self.still = np.where(either(now.active), 0, self.still + now.stepping)
        quiet = now.usable & (self.still > _DECAY_FRAMES) & ~frame.zero & ~now.music.on
        self.square += np.where(now.active, np.floor(frame.mean_square), 0.0)
        self.spoken += now.active
        tenths = np.where(quiet, np.rint(frame.level_dbov * _TENTHS), 0.0).astype(np.int64)
        self.tenths += tenths
        self.squared_tenths += tenths * tenths
        self.quiet += quiet
        if now.seconds.size:
            self._keep(now.seconds, now.end[now.seconds, 0] // FRAMES_PER_S)

    def speech(self, rows: Ints, second: Ints, first: int, last: int) -> tuple[Floats, Ints]:
        """Level of the speech from `first` to `last` seconds before the end of `second` (k,), dBov, and its frames,
        (k, channels)."""
        frames = _window(self.speech_frames, rows, second, first, last)
        square = _window(self.speech_square, rows, second, first, last)
        return level_dbov(square / np.maximum(frames, 1)), frames

    def background(self, rows: Ints, second: Ints, first: int, last: int) -> tuple[Floats, Floats, Ints]:
        """As `speech`: the mean of the background's levels in dB, which a short noise does not lift much, and their
        standard deviation in dB."""
        frames = _window(self.quiet_frames, rows, second, first, last)
        tenths = _window(self.quiet_tenths, rows, second, first, last)
        squared = _window(self.quiet_squared_tenths, rows, second, first, last)
        known = np.maximum(frames, 1)
        variance = (known * squared - tenths * tenths) / known**2  # from whole numbers, never below 0
        return tenths / (known * _TENTHS), np.sqrt(variance) / _TENTHS, frames

    def _keep(self, rows: Ints, second: Ints) -> None:
        slot = second % MEMORY_S
        for now, kept in (
            (self.square, self.speech_square),
            (self.spoken, self.speech_frames),
            (self.tenths, self.quiet_tenths),
            (self.squared_tenths, self.quiet_squared_tenths),
            (self.quiet, self.quiet_frames),
        ):
            kept[rows, :, slot] = now[rows]
            now[rows] = 0
        frames = self.speech_frames[rows].sum(axis=2)
        level = level_dbov(self.speech_square[rows].sum(axis=2) / np.maximum(frames, 1))
        self.usual_dbov[rows] = np.where(frames > 0, level, np.inf)


def _window(kept: NDArray[Any], rows: Ints, second: Ints, first: int, last: int) -> NDArray[Any]:
    """Sums over seconds, (k, channels)."""
    slots = (second[:, None] - np.arange(first, last)) % MEMORY_S
    total: NDArray[Any] = kept[rows[:, None], :, slots].sum(axis=1)
    return total
