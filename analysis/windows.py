"""Windows of five seconds of every call, kept until they are full: what the quality of the sound is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.features import FRAMES_PER_S
from analysis.moment import Moment
from analysis.rows import CHANNELS, Rows, counts
from analysis.signal_quality import Levels
from analysis.spectrum import BANDS, HOPS
from analysis.waveform import FRAME_UNITS

WINDOW_S = 5
WINDOW_FRAMES = WINDOW_S * FRAMES_PER_S
_LEAST_HEARD = WINDOW_FRAMES * 4 // 5
_LEAST_SPOKEN = FRAMES_PER_S


@dataclass(frozen=True, slots=True)
class Window:
    """One full window of a call.

    Attributes:
        row: the call's.
        end: frames of the call until its end.
        levels: (channels, hops, BANDS), see `analysis.spectrum`.
        clipped: (channels,), share of the time with flat tops, 0..1.
        telling: (channels,), enough was heard, and enough of that is speech, to judge the sound by it.
    """

    row: int
    end: int
    levels: Levels
    clipped: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    telling: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


class Windows(Rows):
    """Keeps the band levels of the window that is being filled, 20 kB a call; what is not full in the end is dropped."""

    def __init__(self) -> None:
        self.levels = np.zeros((1, CHANNELS, WINDOW_FRAMES, HOPS, BANDS), dtype=np.uint8)
        self.clipped = counts(CHANNELS)
        self.heard = counts(CHANNELS)
        self.spoken = counts(CHANNELS)
        self.rows: Sequence[Rows] = (self,)
        self._full: list[Window] = []  # emptied by its reader after every pass

    def step(self, now: Moment) -> None:
        """Take one frame of every call."""
        rows = np.flatnonzero(now.stepping[:, 0])
        slots = (now.end[rows, 0] - 1) % WINDOW_FRAMES
        self.levels[rows, :, slots] = np.where(now.heard[rows, :, None, None], now.frame.bands[rows], 0)
        self.clipped += np.where(now.heard, now.frame.waveform["clipped"], 0)
        self.heard += now.heard
        self.spoken += now.active
        for row in rows[slots == WINDOW_FRAMES - 1].tolist():
            self._close(row, int(now.end[row, 0]), now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over."""

    def take(self) -> list[Window]:
        """The windows that have become full since this was asked last."""
        full, self._full = self._full, []
        return full

    def _close(self, row: int, end: int, now: Moment) -> None:
        telling = now.present[row] & (self.heard[row] >= _LEAST_HEARD) & (self.spoken[row] >= _LEAST_SPOKEN)
        levels = self.levels[row].reshape(CHANNELS, WINDOW_FRAMES * HOPS, BANDS).copy()
        clipped = self.clipped[row] / (WINDOW_FRAMES * FRAME_UNITS)
        self._full.append(Window(row, end, levels, clipped, telling))
        for sums in (self.clipped, self.heard, self.spoken):
            sums[row] = 0
