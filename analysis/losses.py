"""Lost packets as one can hear them: holes and stutter, found by their lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.levels import Levels
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Bools, Floats, Ints, Pairs, Places, Rows, counts, ever, flags, pairs, places, values
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
    """What ended in the frames of a pass, all (n,): where (step, row, channel), what, and its positions in
    `UNITS_PER_MS` of the call.

    `sure`: packets were lost; `hole`: they may have been; `amid`: a hole in the midst of speech; `odd`: a hole
    that no packet fits.
    """

    step: Ints
    row: Ints
    channel: Ints
    sure: Bools
    hole: Bools
    amid: Bools
    odd: Bools
    start: Ints
    end: Ints

    @classmethod
    def joined(cls, parts: Sequence["Stretches"]) -> "Stretches":
        """All of them, part by part."""
        return cls._make(np.concatenate(values) for values in zip(*parts, strict=True))

    def within(self, where: Bools | Ints) -> "Stretches":
        """Those of them that are told, by a mask or in an order."""
        return Stretches._make(part[where] for part in self)


class _Before(NamedTuple):
    """What came before a frame; of the frames of a pass and the one that follows, (1 + steps, rows, channels)."""

    run: Ints  # length of the constant run that the frame before ended with
    value: Ints  # its samples
    missing: Bools  # part of it is missing audio
    earlier_dbov: Floats  # levels of the two frames up to its beginning
    latest_dbov: Floats
    unspoken: Ints  # frames from the last active one to its beginning
    tonal: Bools  # the last frame up to its beginning was part of a telephone's tone

    def at(self, step: int, pairs: Pairs) -> "_Before":
        """What came before one frame of each pair, (pairs,)."""
        return _Before._make(line[step][pairs] for line in self)


class _Frames(NamedTuple):
    """Frames, (steps, rows, channels) or (pairs,)."""

    lead: Ints
    trail: Ints
    first: Ints
    last: Ints
    level_dbov: Floats
    active: Bools
    tonal: Bools
    stepping: Bools
    heard: Bools
    absent: Bools  # the channel should have had audio

    def at(self, step: int, pairs: Pairs) -> "_Frames":
        """One frame of each pair, (pairs,)."""
        return _Frames._make(part[step][pairs] for part in self)

    @property
    def constant(self) -> Bools:
        """All samples are the same, or missing."""
        constant: Bools = self.absent | (self.heard & (self.lead == FRAME_UNITS))
        return constant

    def joins(self, before: _Before) -> Bools:
        """The run before goes on."""
        joins: Bools = (before.run > 0) & (self.absent | before.missing | (self.first == before.value))
        return joins


class Holes(Rows):
    """Finds constant runs, and missing audio, where there should be sound.

    A hole is lost packets if its length is a multiple of 10 ms, and odd if it is not: a gate or a muted
    microphone makes those. Audio that the stream itself misses is lost if it cuts speech off; a sender that
    is silent while nobody speaks loses nothing; nor does a telephone beside its tones.
    """

    def __init__(self, thresholds: LossThresholds, levels: Levels) -> None:
        self._limits, self._levels = thresholds, levels
        self.run = counts(CHANNELS)  # see _Before
        self.value = counts(CHANNELS)
        self.missing = flags(CHANNELS)
        self.earlier_dbov = values(CHANNELS, initial=-100.0)
        self.latest_dbov = values(CHANNELS, initial=-100.0)
        self.unspoken = counts(CHANNELS, initial=1 << 30)
        self.tonal = flags(CHANNELS)

    def hear(self, passage: Passage) -> Stretches:
        """Take the next frames of every call; what ended in them."""
        marks = passage.frame.waveform
        frames = _Frames(
            lead=np.ascontiguousarray(marks["lead"]),
            trail=marks["trail"],
            first=marks["first"],
            last=marks["last"],
            level_dbov=passage.frame.level_dbov,
            active=passage.active,
            tonal=passage.tonal,
            stepping=passage.stepping & passage.present,
            heard=passage.heard,
            absent=passage.stepping & passage.present & ~passage.heard,
        )
        before = self._follow(frames, passage.lengths)
        lead = frames.lead + before.run[:-1] * frames.joins(_Before._make(line[:-1] for line in before))
        length = np.maximum(before.run[:-1], np.maximum(lead, marks["inner"]))
        ended = passage.usable & ~frames.constant & (length >= _BLOCK_UNITS - self._limits.tolerance)
        return self._judge(places(ended), lead, before, passage)

    def _judge(self, at: Places, lead: Ints, before: _Before, passage: Passage) -> Stretches:
        """The longest run that ended in each of these frames: before it, with its `lead`, or within."""
        limits, frame = self._limits, passage.frame
        run, missing, latest_dbov = before.run[at], before.missing[at], before.latest_dbov[at]
        marks, lead = frame.waveform[at], lead[at]
        start = (passage.end[at[0], at[1], 0] - 1) * FRAME_UNITS
        at_start, inner = run > lead, marks["inner"] > np.maximum(run, lead)  # or another constant began with the frame
        length = np.where(inner, marks["inner"], np.maximum(run, lead))
        end = start + np.where(inner, marks["inner_end"], np.where(at_start, 0, marks["lead"]))
        loudest_dbov = np.maximum(np.maximum(before.earlier_dbov[at], latest_dbov), frame.level_dbov[at])
        sound = (loudest_dbov >= limits.quietest_dbov) & ~(before.tonal[at] | passage.tonal[at])
        cut = (before.unspoken[at] <= limits.cut_frames) & (length <= limits.longest_cut)
        whole = (length + limits.tolerance) % _BLOCK_UNITS <= 2 * limits.tolerance
        hole = sound & ~missing & whole & ((length <= limits.longest_hole) | cut)
        amid = hole & (latest_dbov >= self._levels.usual_at(at, passage) - limits.loud_db)
        return Stretches(*at, sound & missing & cut, hole, amid, sound & ~missing & ~whole, end - length, end)

    def _follow(self, frames: _Frames, lengths: Ints) -> _Before:
        """What came before each of these frames; it is kept for the next ones."""
        before = self._as_of_sound(frames)
        here = np.arange(len(frames.heard))[:, None, None] < lengths[:, None]
        sounding = frames.heard & ~frames.constant
        others = pairs(ever(frames.stepping) & ever(here & ~sounding))
        if len(others[0]):
            for step in range(len(frames.heard)):
                for line, value in zip(before, _after(before.at(step, others), frames.at(step, others)), strict=True):
                    line[step + 1][others] = value
        row = np.arange(len(lengths))
        for name, line in before._asdict().items():
            setattr(self, name, line[lengths, row])
        return before

    def _as_of_sound(self, frames: _Frames) -> _Before:
        """What comes before frames of which all sound."""
        number = np.arange(1, len(frames.active) + 1)[:, None, None]
        spoken = np.concatenate([-self.unspoken[None], np.where(frames.active, number, -(1 << 40))])
        return _Before(
            run=np.concatenate([self.run[None], frames.trail]),
            value=np.concatenate([self.value[None], frames.last]),
            missing=np.concatenate([self.missing[None], np.zeros_like(frames.heard)]),
            earlier_dbov=np.concatenate([self.earlier_dbov[None], self.latest_dbov[None], frames.level_dbov[:-1]]),
            latest_dbov=np.concatenate([self.latest_dbov[None], frames.level_dbov]),
            unspoken=np.arange(len(spoken))[:, None, None] - np.maximum.accumulate(spoken, axis=0),
            tonal=np.concatenate([self.tonal[None], frames.tonal]),
        )


def _after(before: _Before, frame: _Frames) -> _Before:
    """What comes before the next frame."""
    constant, joins = frame.constant, frame.joins(before)
    sounding = frame.heard & ~constant
    run = np.where(constant, before.run * joins + FRAME_UNITS, frame.trail)
    return _Before(
        run=np.where(frame.stepping, run, before.run),
        value=np.where(frame.heard, frame.last, before.value),
        missing=np.where(frame.stepping, frame.absent | (constant & joins & before.missing), before.missing),
        earlier_dbov=np.where(sounding, before.latest_dbov, before.earlier_dbov),
        latest_dbov=np.where(sounding, frame.level_dbov, before.latest_dbov),
        unspoken=np.where(sounding, np.where(frame.active, 0, before.unspoken + 1), before.unspoken),
        tonal=np.where(sounding, frame.tonal, before.tonal),
    )


class Repeats(Rows):
    """Finds 10 ms blocks that equal those of 20 ms before: a packet that is played again for one that is lost.

    However packets lie in frames, one of 20 ms covers a block.
    """

    def __init__(self, thresholds: LossThresholds) -> None:
        self._limits = thresholds
        self.blocks = np.zeros((1, CHANNELS, _BLOCKS), dtype=np.uint64)  # of the last frame
        self.length = counts(CHANNELS)  # of the present stretch of equal blocks
        self.start = counts(CHANNELS)

    def hear(self, passage: Passage) -> Stretches | None:
        """Take the next frames of every call; what ended in them."""
        marks, frame = passage.frame.waveform, passage.frame
        sound = passage.usable & (frame.level_dbov >= self._limits.quietest_dbov)
        equal = (marks["blocks"] == self._before(marks["blocks"], passage.heard)) & sound[..., None]
        alike = pairs(equal.any(axis=(0, 3)) | (self.length > 0))
        if not len(alike[0]):
            return None
        equal[..., 0] &= marks["lead"] < _BLOCK_UNITS  # constant blocks are holes
        equal[..., 1] &= marks["trail"] < _BLOCK_UNITS
        found = [self._follow(step, alike, equal[step][alike], now) for step, now in enumerate(passage.moments)]
        return Stretches.joined(found)

    def _before(self, blocks: NDArray[np.uint64], heard: Bools) -> NDArray[np.uint64]:
        """The blocks of the frame that was heard before each."""
        line = np.concatenate([self.blocks[None], blocks])
        for step in np.flatnonzero(~heard.all(axis=(1, 2))).tolist():
            np.copyto(line[step + 1], line[step], where=~heard[step, :, :, None])
        self.blocks = line[-1]
        return line[:-1]

    def _follow(self, step: int, pairs: Pairs, equal: Bools, now: Moment) -> Stretches:
        """Take one frame of these pairs, whose blocks are `equal` (pairs, 2) to those before; what ended in it."""
        stepping = (now.stepping & now.present)[pairs]
        start = (now.end[pairs[0], 0] - 1) * FRAME_UNITS
        over = np.zeros_like(stepping)
        blocks, began = np.zeros_like(start), self.start[pairs]
        length, since = self.length[pairs], self.start[pairs]
        for block in range(_BLOCKS):
            same = equal[:, block] & stepping
            ends = stepping & ~same & (length > 0)
            over |= ends
            blocks, began = np.where(ends, length, blocks), np.where(ends, since, began)
            since = np.where(same & (length == 0), start + block * _BLOCK_UNITS, since)
            length = np.where(stepping, np.where(same, length + 1, 0), length)
        self.length[pairs], self.start[pairs] = length, since
        packets = -(-blocks // _BLOCKS)
        lost = over & (packets * FRAME_UNITS <= self._limits.longest_repeat)
        none = np.zeros_like(over)
        where = np.full(len(over), step)
        return Stretches(where, *pairs, lost, none, none, none, began, began + packets * FRAME_UNITS)
