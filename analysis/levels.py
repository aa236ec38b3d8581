"""How loud a channel's speech and its background are: sums of each second, kept for the last minute."""

import numpy as np

from analysis.features import FRAMES_PER_S, level_dbov
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Bools, Floats, Ints, Places, Rows, counts, either, values

MEMORY_S = 60
"""How many seconds are kept."""

_DECAY_FRAMES = 5
_TENTHS = 10  # levels are summed up in tenths of a decibel: whole numbers, so that no order matters
_SPEECH_SQUARE, _SPEECH, _TENTHS_SUM, _TENTHS_SQUARE, _QUIET = range(5)  # places of the sums


class Levels(Rows):
    """Sums over the frames of each second: powers of speech, frames of it; levels of background, their squares, frames
    of it.

    Speech is what is active. Background is what is heard while neither party has been active for 100 ms:
    before, the voice still dies away, and the other party's echo would pass for noise. Zeros are no
    background: a lost packet tells nothing of it.

    Attributes:
        usual_dbov: (rows, channels), level of the last minute's speech; infinite while there is none.
        background_frames: (steps, rows, channels), which frames of this pass are background.
    """

    background_frames: Bools

    def __init__(self) -> None:
        self.active_until = counts(1)  # end of the last frame in which somebody was active
        self.present = counts(CHANNELS, 5)  # sums of this second
        self.total = counts(MEMORY_S + 1, CHANNELS, 5)  # sums of all frames up to the end of each of the last seconds
        self.usual_dbov = values(CHANNELS, initial=np.inf)
        self._usual_before = self.usual_dbov  # what it was before this pass

    def hear(self, passage: Passage) -> None:
        """Take the next frames of every call."""
        amounts = self._amounts(passage)
        sums = passage.tally(amounts, self.present)
        self._usual_before = self.usual_dbov
        if len(sums):
            self._keep(sums, passage.second)

    def usual_at(self, places: Places, passage: Passage) -> Floats:
        """`usual_dbov` as it was in frames of this pass, (k,)."""
        step, row, channel = places
        before = passage.ending[step, row, 0] & ~passage.ends[step, row, 0]
        return np.where(before, self._usual_before[row, channel], self.usual_dbov[row, channel])

    def speech(self, rows: Ints, second: Ints, first: int, last: int) -> tuple[Floats, Ints]:
        """Level of the speech from `first` to `last` seconds before the end of `second` (k,), dBov, and its frames,
        (k, channels)."""
        sums = self._window(rows, second, first, last)
        frames = sums[:, :, _SPEECH]
        return level_dbov(sums[:, :, _SPEECH_SQUARE] / np.maximum(frames, 1)), frames

    def background(self, rows: Ints, second: Ints, first: int, last: int) -> tuple[Floats, Floats, Ints]:
        """As `speech`: the mean of the background's levels in dB, which a short noise does not lift much, and their
        standard deviation in dB."""
        sums = self._window(rows, second, first, last)
        tenths, squared, frames = (sums[:, :, place] for place in (_TENTHS_SUM, _TENTHS_SQUARE, _QUIET))
        known = np.maximum(frames, 1)
        variance = (known * squared - tenths * tenths) / known**2  # from whole numbers, never below 0
        return tenths / (known * _TENTHS), np.sqrt(variance) / _TENTHS, frames

    def _amounts(self, passage: Passage) -> Ints:
        """What each frame adds to the sums, (steps, rows, channels, 5)."""
        frame = passage.frame
        spoken = np.where(either(passage.active), passage.end, self.active_until)
        until = np.maximum.accumulate(spoken, axis=0)
        self.active_until = until[-1]
        still = passage.end - until > _DECAY_FRAMES
        quiet = self.background_frames = passage.usable & still & ~frame.zero & ~passage.music.on
        amounts = np.zeros((*quiet.shape, 5), dtype=np.int64)
        amounts[..., _SPEECH_SQUARE] = frame.mean_square * passage.active
        amounts[..., _SPEECH] = passage.active
        tenths = np.rint(frame.level_dbov * _TENTHS) * quiet
        amounts[..., _TENTHS_SUM] = tenths
        amounts[..., _TENTHS_SQUARE] = tenths * tenths
        amounts[..., _QUIET] = quiet
        return amounts

    def _keep(self, sums: Ints, now: Moment) -> None:
        rows = now.seconds
        second = now.end[rows, 0] // FRAMES_PER_S
        slots = MEMORY_S + 1
        self.total[rows, second % slots] = self.total[rows, (second - 1) % slots] + sums
        level, frames = self.speech(rows, second, 0, MEMORY_S)
        self.usual_dbov = self.usual_dbov.copy()
        self.usual_dbov[rows] = np.where(frames > 0, level, np.inf)

    def _window(self, rows: Ints, second: Ints, first: int, last: int) -> Ints:
        """Sums over seconds, (k, channels, 5)."""
        before, until = np.maximum(second - last, 0), np.maximum(second - first, 0)
        slots = MEMORY_S + 1
        sums: Ints = self.total[rows, until % slots] - self.total[rows, before % slots]
        return sums
