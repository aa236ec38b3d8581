"""Lost packets as one can hear them: holes and stutter, found by their lengths."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.levels import Levels
from analysis.moment import Moment
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, flags, some, values
from analysis.waveform import FRAME_UNITS, UNITS_PER_MS

_BLOCK_UNITS = 10 * UNITS_PER_MS
_BLOCKS = FRAME_UNITS // _BLOCK_UNITS


@dataclass(frozen=True, slots=True)
class LossThresholds:
    """What is taken for a loss; lengths in `UNITS_PER_MS` but for frames of 20 ms.

    Attributes:
        tolerance: how far a hole's length may be from a multiple of 10 ms, 3 samples at 8 kHz.
        longest_hole: beside any sound; up to `longest_cut` if it cuts speech off.
        cut_frames: speech is cut off if it was active so shortly before.
        longest_repeat: longer ones are tones, whose period fits into 20 ms.
        quietest_dbov: what is quieter is no sound.
        loud_db: a hole begins in the midst of speech if what comes before is no further below its level.
    """

    tolerance: int = 6
    longest_hole: int = 200 * UNITS_PER_MS
    longest_cut: int = 1000 * UNITS_PER_MS
    cut_frames: int = 3
    longest_repeat: int = 300 * UNITS_PER_MS
    quietest_dbov: float = -70.0
    loud_db: float = 15.0


class Stretches(NamedTuple):
    """What ended in this frame, at most one a channel: all (rows, channels), positions in `UNITS_PER_MS` of the call.

    `sure`: packets were lost; `hole`: they may have been; `amid`: a hole in the midst of speech; `odd`: a hole
    that no packet fits.
    """

    sure: Bools
    hole: Bools
    amid: Bools
    odd: Bools
    start: Ints
    end: Ints


class Holes(Rows):
    """Finds constant runs, and missing audio, where there should be sound.

    A hole is lost packets if its length is a multiple of 10 ms, and odd if it is not: a gate or a muted
    microphone makes those. Audio that the stream itself misses is lost if it cuts speech off; a sender that
    is silent while nobody speaks loses nothing.
    """

    def __init__(self, thresholds: LossThresholds, levels: Levels) -> None:
        self._limits, self._levels = thresholds, levels
        self.run = counts(CHANNELS)  # length of the constant run that the last frame ended with
        self.value = counts(CHANNELS)  # its samples
        self.missing = flags(CHANNELS)  # part of it is missing audio
        self.before_dbov = values(CHANNELS, 2, initial=-100.0)  # levels of the two frames up to its beginning
        self.unspoken = counts(CHANNELS, initial=1 << 30)  # frames from the last active one to its beginning

    def step(self, now: Moment) -> Stretches:
        """Take one frame of every call; what ended in it."""
        marks, start = now.frame.waveform, (now.end - 1) * FRAME_UNITS
        absent = now.stepping & now.present & ~now.heard
        constant = absent | (now.heard & (marks["lead"] == FRAME_UNITS))
        joins = (self.run > 0) & (absent | self.missing | (marks["first"] == self.value))
        lead = np.where(joins, self.run + marks["lead"], marks["lead"])
        at_start = self.run > lead  # another constant began with the frame
        length = np.where(at_start, self.run, lead)
        end = np.where(at_start, start, start + marks["lead"])
        inner = now.heard & (marks["inner"] > length)
        length = np.where(inner, marks["inner"], length)
        end = np.where(inner, start + marks["inner_end"], end)
        found = self._judge(now.usable & ~constant, length, end, now)
        self._go_on(now, absent, constant, joins)
        return found

    def _judge(self, ended: Bools, length: Ints, end: Ints, now: Moment) -> Stretches:
        limits = self._limits
        sound = np.maximum(self.before_dbov.max(axis=2), now.frame.level_dbov) >= limits.quietest_dbov
        cut = (self.unspoken <= limits.cut_frames) & (length <= limits.longest_cut)
        candidate = ended & sound & (length >= _BLOCK_UNITS - limits.tolerance)
        whole = (length + limits.tolerance) % _BLOCK_UNITS <= 2 * limits.tolerance
        hole = candidate & ~self.missing & whole & ((length <= limits.longest_hole) | cut)
        amid = hole & (self.before_dbov[:, :, 1] >= self._levels.usual_dbov - limits.loud_db)
        odd = candidate & ~self.missing & ~whole
        return Stretches(candidate & self.missing & cut, hole, amid, odd, end - length, end)

    def _go_on(self, now: Moment, absent: Bools, constant: Bools, joins: Bools) -> None:
        marks, stepping = now.frame.waveform, now.stepping & now.present
        run = np.where(constant, np.where(joins, self.run, 0) + FRAME_UNITS, marks["trail"])
        self.run = np.where(stepping, run, self.run)
        self.value = np.where(now.heard, marks["last"], self.value)
        self.missing = np.where(stepping, absent | (constant & joins & self.missing), self.missing)
        sounding = now.heard & ~constant
        self.before_dbov[sounding] = np.column_stack([self.before_dbov[sounding][:, 1], now.frame.level_dbov[sounding]])
        self.unspoken = np.where(sounding, np.where(now.active, 0, self.unspoken + 1), self.unspoken)


class Repeats(Rows):
    """Finds 10 ms blocks that equal those of 20 ms before: a packet that is played again for one that is lost.

    However packets lie in frames, one of 20 ms covers a block.
    """

    def __init__(self, thresholds: LossThresholds) -> None:
        self._limits = thresholds
        self.blocks = np.zeros((1, CHANNELS, _BLOCKS), dtype=np.uint64)  # of the last frame
        self.length = counts(CHANNELS)  # of the present stretch of equal blocks
        self.start = counts(CHANNELS)

    def step(self, now: Moment) -> Stretches | None:
        """Take one frame of every call; what ended in it."""
        marks, frame = now.frame.waveform, now.frame
        sound = now.usable & (frame.level_dbov >= self._limits.quietest_dbov)
        equal = (marks["blocks"] == self.blocks) & sound[:, :, None]
        np.copyto(self.blocks, marks["blocks"], where=now.heard[:, :, None])
        if not (some(equal) or some(self.length)):
            return None
        equal[:, :, 0] &= marks["lead"] < _BLOCK_UNITS  # constant blocks are holes
        equal[:, :, 1] &= marks["trail"] < _BLOCK_UNITS
        start = (now.end - 1) * FRAME_UNITS
        return self._follow(equal, now.stepping & now.present, start)

    def _follow(self, equal: Bools, stepping: Bools, start: Ints) -> Stretches:
        over = np.zeros_like(stepping)
        blocks = np.zeros_like(self.length)
        began = self.start.copy()
        for block in range(_BLOCKS):
            same = equal[:, :, block] & stepping
            ends = stepping & ~same & (self.length > 0)
            over |= ends
            blocks = np.where(ends, self.length, blocks)
            began = np.where(ends, self.start, began)
            self.start = np.where(same & (self.length == 0), start + block * _BLOCK_UNITS, self.start)
            self.length = np.where(stepping, np.where(same, self.length + 1, 0), self.length)
        packets = -(-blocks // _BLOCKS)
        lost = over & (packets * FRAME_UNITS <= self._limits.longest_repeat)
        none = np.zeros_like(over)
        return Stretches(lost, none, none, none, began, began + packets * FRAME_UNITS)
