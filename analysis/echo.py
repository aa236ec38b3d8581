"""Echo: does a channel bring back what is said on the other, how late and how weak, and who speaks in spite of it?"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.features import FRAMES_PER_S, SILENT_DBOV, Features
from analysis.rows import CHANNELS, Bools, Floats, Ints, Pairs, Rows, counts, flags, last, pairs, shifted, some, values
from analysis.spectrum import BANDS, HOPS, STEPS_PER_DB

HOP_MS = 10
LAGS = 51
"""Delays that are looked for, in hops: 0 to 500 ms."""

Steps = NDArray[np.int16]
Words = NDArray[np.uint64]
_BLOCK_FRAMES = 10
_BLOCK_HOPS = _BLOCK_FRAMES * HOPS
_PAST_HOPS = 56  # the longest delay, and what is before and after it
_PAST_FRAMES = _PAST_HOPS // HOPS
_KEPT_FRAMES = _PAST_FRAMES + _BLOCK_FRAMES
_HOPS_AROUND = 3  # an echo falls between hops, and a room goes on sounding
_PAIRS_AT_ONCE = 256  # they stay in the cache

_COMPARED = slice(2, 18)  # bands of 300 to 3250 Hz, which every line carries: 16, so that a hop is 32 bits
_FLOOR = np.uint8(25 * STEPS_PER_DB)  # -75 dBov: below it are a codec's idle steps
_CHANGE = np.uint8(1 * STEPS_PER_DB)
_HALF_HOP = np.uint64(16)
_HOP = np.uint64(32)
_RISES = np.uint64(0x0000FFFF0000FFFF)
_BYTE_WORDS = 5  # whose common bits, 32 at most, a byte can count

_PRIOR = 20  # bands, so that a block with next to nothing in it does not count
_SCORE_STEPS = 16  # steps of a standard deviation: whole numbers add up the same in any order
_SCORE_LIMIT = 4 * _SCORE_STEPS
_FORGET_SHIFT = 5  # a memory of 32 blocks with far speech
_RECENT_SHIFT = 4  # 16 blocks
_RECENT_UNIT = _SCORE_STEPS << _RECENT_SHIFT
_RECENT_LIMIT = 2 * _SCORE_STEPS  # lest a strong echo be remembered for long
_PLAIN = 1.5
_PEAK_LAGS = 3
_PATH_STEPS = 16  # to a step of the levels
_ERL_STEP_DB = 1 / 16
_LAG_TOLERANCE = 2


@dataclass(frozen=True, slots=True)
class EchoThresholds:
    """When a sound is an echo: `found` in standard deviations of the memory, `kept` in those of a block, as a mean."""

    found: float = 5.2
    kept: float = 0.5
    lost_frames: int = 20 * FRAMES_PER_S
    least_erl_db: float = 3.0
    margin_db: float = 8.0
    own_bands: int = 3
    listen_frames: int = 2 * FRAMES_PER_S
    doubt_db: float = 10.0
    loud_db: float = 15.0
    loud_fall_db: float = 0.02


class _Line(NamedTuple):
    """Frames of all rows, those kept from before and those of this pass: (frames, rows, channels)."""

    levels: NDArray[np.uint8]  # and (HOPS, BANDS)
    level_dbov: Floats
    heard: Bools
    speech: Bools  # the channel's own


class Echo(Rows):
    """Finds echoes by the rise and fall of levels in bands, and says which speech they are.

    In every hop the change of 16 bands over 20 ms is up, down, or less than 1 dB. Each 200 ms, how much
    the changes of a channel agree with those of the other's speech 0 to 500 ms before is counted. What a
    delay has more than the others, in standard deviations and no more than 4, is added to a memory of
    about 6 s of the other's speech. A delay that stands out in the memory is that of an echo. The limit
    makes one chance agreement no echo.

    What the echo loses on its way is followed in each band while the other is loud, as a median. A frame
    in which 3 bands are 8 dB above what may come back is speech of the channel's own.

    Directions are meant by pairs of a row and the channel that may bring back the other one.

    Attributes, all (rows, channels), of the channel that carries the returned sound:
        found: there is an echo.
        lag: its delay in hops.
        erl_db: its level below that of the original.
        score: standard deviations that its delay stood out by, when last counted.
        shown: end of the last 200 ms that showed it, in frames.
    """

    def __init__(self, thresholds: EchoThresholds) -> None:
        self._limits = thresholds
        hops = _PAST_HOPS + _BLOCK_HOPS
        self.found = flags(CHANNELS)
        self.lag = counts(CHANNELS)
        self.erl_db = values(CHANNELS)
        self.score = values(CHANNELS)
        self.shown = counts(CHANNELS)
        self.unshown = counts(CHANNELS)  # frames of the other's speech since then
        self.listened = counts(CHANNELS)  # frames of it
        self.levels = np.zeros((1, _KEPT_FRAMES, CHANNELS, HOPS, BANDS), dtype=np.uint8)  # of the last frames
        self.level_dbov = values(_KEPT_FRAMES, CHANNELS, initial=SILENT_DBOV)
        self.heard = flags(_KEPT_FRAMES, CHANNELS)
        self.speech = flags(_KEPT_FRAMES, CHANNELS)
        self.spoken_until = counts(CHANNELS, initial=-_KEPT_FRAMES)  # end of the last frame of speech
        self.changes = np.zeros((1, CHANNELS, hops), dtype=np.uint64)  # of this hop and the next, see _pack
        self.speech_changes = np.zeros((1, CHANNELS, hops), dtype=np.uint64)
        self.agreement = counts(CHANNELS, LAGS)
        self.weight = counts(CHANNELS)
        self.recent = counts(CHANNELS)  # sum of the latest agreement at the echo's delay
        self.path = np.zeros((1, CHANNELS, BANDS), dtype=np.int16)  # what each band loses on the way, steps
        self.loud_dbov = values(CHANNELS, initial=SILENT_DBOV)  # the loudest of late
        self._line: _Line

    @property
    def plain(self) -> Bools:
        """Where the echo shows well enough just now to be measured, (rows, channels)."""
        plain: Bools = self.found & (self.recent >= _PLAIN * _RECENT_UNIT)
        return plain

    def take(self, frames: Features, heard: Bools, lengths: Ints) -> None:
        """The next frames of all rows, (steps, rows, channels) of which `lengths` (rows,) count: what `step` will be
        about."""
        levels, self.levels = shifted(self.levels, frames.bands.astype(np.uint8), lengths)
        level_dbov, self.level_dbov = shifted(self.level_dbov, frames.level_dbov, lengths)
        was_heard, self.heard = shifted(self.heard, heard, lengths)
        speech, _ = shifted(self.speech, np.zeros_like(heard), lengths)
        self._line = _Line(levels, level_dbov, was_heard, speech)

    def keep(self, lengths: Ints) -> None:
        """All steps are over: keep what the next ones need."""
        self.speech = last(self._line.speech, _KEPT_FRAMES, lengths)

    def step(self, step: int, active: Bools, end: Ints, stepping: Bools) -> Bools:
        """Judge one frame of each row: `active` (rows, channels); `end`, the frames so far, and `stepping` (rows, 1).
        Returns which of `active` is the channel's own speech."""
        frame = _KEPT_FRAMES + step
        loud = np.maximum(self._line.level_dbov[frame], self.loud_dbov - self._limits.loud_fall_db)
        np.copyto(self.loud_dbov, loud, where=self._line.heard[frame])
        own = active & ~self._returned(frame, active, end, stepping)
        self._line.speech[frame] = own
        np.copyto(self.spoken_until, end, where=own)
        full = np.flatnonzero(stepping & (end % _BLOCK_FRAMES == 0))
        if len(full):
            self._count(full, frame, end)
        return own

    def _returned(self, frame: int, active: Bools, end: Ints, stepping: Bools) -> Bools:
        """Where what is active is the echo, or may be one that there was no time to find yet."""
        returned = np.zeros_like(active)
        doubtful = active & ~self.found & (self.listened < self._limits.listen_frames)
        if some(doubtful):
            past = (end - 1) // _BLOCK_FRAMES * _BLOCK_FRAMES - _PAST_FRAMES
            doubtful &= (active | (self.spoken_until > past))[:, ::-1]
        for where, is_own in ((self.found & stepping, self._exceeds_echo), (doubtful, self._exceeds_doubt)):
            if some(where):
                there = pairs(where)
                returned[there] = ~is_own(there, frame)
        return returned

    def _exceeds_echo(self, pairs: Pairs, frame: int) -> Bools:
        """Whether a frame is above what may come back of the other channel; what did is learnt from, (pairs,)."""
        first = HOPS * frame - self.lag[pairs] - _HOPS_AROUND
        far = self._highest(_turned(pairs), first, HOPS + 1 + _HOPS_AROUND, frame)
        near = self._highest(pairs, np.full_like(first, HOPS * frame), HOPS, frame)
        own = self._exceeds(near, far - self.path[pairs] // _PATH_STEPS, self._limits.margin_db)
        self._follow(pairs, frame, far - near, own)
        return own

    def _exceeds_doubt(self, pairs: Pairs, frame: int) -> Bools:
        """Whether a frame is above what a strong echo of any delay would be, (pairs,)."""
        first = np.full(len(pairs[0]), HOPS * frame)
        far = self._highest(_turned(pairs), first - LAGS, HOPS + LAGS, frame)
        return self._exceeds(self._highest(pairs, first, HOPS, frame), far, -self._limits.doubt_db)

    def _exceeds(self, near: Steps, echo: Steps, margin_db: float) -> Bools:
        above = near > np.maximum(echo, _FLOOR) + round(margin_db * STEPS_PER_DB)
        enough: Bools = above.sum(axis=1) >= self._limits.own_bands
        return enough

    def _highest(self, pairs: Pairs, first: Ints, hops: int, frame: int) -> Steps:
        """The highest level of each band in `hops` hops from `first` on, up to the present `frame`."""
        columns = np.minimum(first[:, None] + np.arange(hops), HOPS * frame + 1)
        highest: Steps = self._levels_at(pairs, columns).max(axis=1)
        return highest

    def _levels_at(self, pairs: Pairs, hops: Ints) -> Steps:
        """Levels of `hops` (pairs, k): (pairs, k, BANDS)."""
        rows, channels = pairs[0][:, None], pairs[1][:, None]
        return self._line.levels[hops // HOPS, rows, channels, hops % HOPS].astype(np.int16)

    def _follow(self, pairs: Pairs, frame: int, loss: Steps, own: Bools) -> None:
        """Move the path's losses towards those of this frame if the other speaks loudly; by little if not alone."""
        erl_db, loud = self._erl_db(pairs, frame)
        step = np.where(own, 1, _PATH_STEPS)[:, None] * loud[:, None]
        self.path[pairs] += (np.sign(loss * _PATH_STEPS - self.path[pairs]) * step).astype(np.int16)
        self.erl_db[pairs] += np.sign(erl_db - self.erl_db[pairs]) * (loud & ~own) * _ERL_STEP_DB

    def _erl_db(self, pairs: Pairs, frame: int) -> tuple[Floats, Bools]:
        """How much weaker a frame is than the one that it echoes, dB, and whether that was loud speech."""
        rows, channels = _turned(pairs)
        origin = frame - (self.lag[pairs] + 1) // HOPS
        line = self._line
        level = line.level_dbov[origin, rows, channels]
        loud = level >= self.loud_dbov[rows, channels] - self._limits.loud_db
        loud &= line.speech[origin, rows, channels] & line.heard[frame][pairs]
        return level - line.level_dbov[frame][pairs], loud

    def _count(self, rows: Ints, frame: int, end: Ints) -> None:
        """Compare the 200 ms that are full with this frame in these rows with what was before."""
        self._describe(rows, frame)
        rows_of, channels = np.nonzero(self.speech_changes[rows, ::-1].any(axis=2))
        for first in range(0, len(rows_of), _PAIRS_AT_ONCE):
            part = slice(first, first + _PAIRS_AT_ONCE)
            self._count_pairs((rows[rows_of[part]], channels[part]), frame, end)
        for line in (self.changes, self.speech_changes):
            line[rows, :, :-_BLOCK_HOPS] = line[rows, :, _BLOCK_HOPS:]

    def _describe(self, rows: Ints, frame: int) -> None:
        """The changes in the last block; none where a frame or the one before it is missing."""
        block = slice(frame - _BLOCK_FRAMES - 1, frame + 1)  # and the two frames before
        levels = np.maximum(self._line.levels[block, rows, :, :, _COMPARED], _FLOOR)
        heard, speech = self._line.heard[block, rows], self._line.speech[block, rows]
        hops = _pack(levels[1:], levels[:-1]) * (heard[1:] & heard[:-1])[..., None]
        place = slice(_PAST_HOPS - 1, _PAST_HOPS + _BLOCK_HOPS - 1)
        self.changes[rows, :, place] = _join(hops)
        self.speech_changes[rows, :, place] = _join(hops * speech[1:, ..., None])

    def _count_pairs(self, pairs: Pairs, frame: int, end: Ints) -> None:
        rows, channels = _turned(pairs)
        near = self.changes[pairs[0], pairs[1], _PAST_HOPS:-1:HOPS]
        far = self.speech_changes[rows, channels, _PAST_HOPS - LAGS + 1 : -1]
        same, compared = _agreement(near, far)
        mean = same.sum(axis=1, keepdims=True) / LAGS
        spread = np.sqrt(compared.sum(axis=1, keepdims=True) / LAGS + _PRIOR)
        score = np.clip(np.rint((same - mean) / spread * _SCORE_STEPS), -_SCORE_LIMIT, _SCORE_LIMIT)
        self.agreement[pairs] += score.astype(np.int64) - (self.agreement[pairs] >> _FORGET_SHIFT)
        at_lag = np.take_along_axis(score, self.lag[pairs][:, None], axis=1)[:, 0].astype(np.int64)
        self.recent[pairs] += np.minimum(at_lag, _RECENT_LIMIT) - (self.recent[pairs] >> _RECENT_SHIFT)
        self.weight[pairs] += _SCORE_STEPS**2 - (self.weight[pairs] >> (_FORGET_SHIFT - 1))
        self._judge(pairs, frame, end)

    def _judge(self, pairs: Pairs, frame: int, end: Ints) -> None:
        """Find echoes, or lose them, by how far the best delay stands out."""
        lag, score = _best(self.agreement[pairs], self.weight[pairs])
        self.score[pairs] = score
        rows, channels = _turned(pairs)
        far_speech = self._line.speech[frame - _BLOCK_FRAMES + 1 : frame + 1, rows, channels].sum(axis=0)
        same_lag = np.abs(lag - self.lag[pairs]) <= _LAG_TOLERANCE
        shown = self.found[pairs] & (self.recent[pairs] >= self._limits.kept * _RECENT_UNIT)
        self.listened[pairs] += far_speech
        self.unshown[pairs] = np.where(shown, 0, self.unshown[pairs] + far_speech)
        self.shown[pairs] = np.where(shown, end[pairs[0], 0], self.shown[pairs])
        self.found[pairs] &= self.unshown[pairs] < self._limits.lost_frames
        fresh = (score >= self._limits.found) & ~(self.found[pairs] & same_lag)
        if some(fresh):
            self._find((pairs[0][fresh], pairs[1][fresh]), lag[fresh], frame, end)

    def _find(self, pairs: Pairs, lag: Ints, frame: int, end: Ints) -> None:
        """Take a delay for an echo's if the last 200 ms came back weaker, and begin with what they lost on the way."""
        frames = np.arange(frame - _BLOCK_FRAMES + 1, frame + 1)
        hops = HOPS * frames[0] + np.arange(_BLOCK_HOPS)
        near = self._levels_at(pairs, np.broadcast_to(hops, (len(lag), _BLOCK_HOPS)))
        far = self._levels_at(_turned(pairs), hops - lag[:, None])
        loss = _median_of_loud(far, far - near)
        level, own, other = self._line.level_dbov, pairs[1][:, None], 1 - pairs[1][:, None]
        far_dbov = level[frames - (lag[:, None] + 1) // HOPS, pairs[0][:, None], other]
        near_dbov = level[frames, pairs[0][:, None], own]
        erl_db = _median_of_loud(far_dbov, far_dbov - near_dbov)
        weaker = erl_db >= self._limits.least_erl_db
        rows, channels = (places[weaker] for places in pairs)
        self.found[rows, channels] = True
        self.lag[rows, channels] = lag[weaker]
        self.erl_db[rows, channels] = erl_db[weaker]
        self.path[rows, channels] = loss[weaker] * _PATH_STEPS
        self.shown[rows, channels] = end[rows, 0]
        self.unshown[rows, channels] = 0
        self.recent[rows, channels] = _RECENT_UNIT


def _turned(pairs: Pairs) -> Pairs:
    """The other channels of the same rows."""
    return pairs[0], 1 - pairs[1]


def _pack(levels: NDArray[np.uint8], before: NDArray[np.uint8]) -> Words:
    """Signs of the changes from `before` to `levels` (..., 16) as words (...): 16 bits for the bands that rise by more
    than 1 dB, and 16 for those that fall."""
    signs = np.concatenate([levels > before + _CHANGE, before > levels + _CHANGE], axis=-1)
    return np.packbits(signs, axis=-1, bitorder="little").view("<u4")[..., 0].astype(np.uint64)


def _join(hops: Words) -> Words:
    """Words of frames (frames, rows, channels, HOPS), of their hops but the first and the last, each with the next:
    (rows, channels, hops)."""
    hops = np.moveaxis(hops, 0, 2).reshape(*hops.shape[1:3], -1)
    joined: Words = hops[:, :, 1:-1] | (hops[:, :, 2:] << _HOP)
    return joined


def _agreement(near: Words, far: Words) -> tuple[Ints, Ints]:
    """Bands that change alike less those that change otherwise, and both together, at each lag: (pairs, LAGS)."""
    turned = ((near & _RISES) << _HALF_HOP) | ((near >> _HALF_HOP) & _RISES)
    alike, otherwise = _common_bits(near, far), _common_bits(turned, far)
    return alike - otherwise, alike + otherwise


def _common_bits(near: Words, far: Words) -> Ints:
    """Bits that words of every other hop have in common with those of the hops before: (pairs, LAGS)."""
    common = np.zeros((len(near), LAGS), dtype=np.int64)
    for first in range(0, near.shape[1], _BYTE_WORDS):
        part = np.zeros((len(near), LAGS), dtype=np.uint8)
        for place in range(first, min(first + _BYTE_WORDS, near.shape[1])):
            part += np.bitwise_count(far[:, HOPS * place : HOPS * place + LAGS] & near[:, place, None])
        common += part
    return common[:, ::-1]  # a window of `far` begins with the longest lag


def _best(agreement: Ints, weight: Ints) -> tuple[Ints, Floats]:
    """The lag with the most agreement (pairs, LAGS), and by how many standard deviations it stands out."""
    lag = agreement.argmax(axis=1)
    peak = np.take_along_axis(agreement, lag[:, None], axis=1)[:, 0]
    others = np.abs(np.arange(LAGS) - lag[:, None]) > _PEAK_LAGS
    number = others.sum(axis=1)
    mean = (agreement * others).sum(axis=1) / number
    variance = (agreement**2 * others).sum(axis=1) / number - mean**2
    score: Floats = (peak - mean) / np.sqrt(np.maximum(variance, weight) + _SCORE_STEPS**2)
    return lag, score


def _median_of_loud(loud: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Median of `values` along axis 1 over the louder half of it."""
    order = np.argsort(loud, axis=1, kind="stable")[:, loud.shape[1] // 2 :]
    louder = np.sort(np.take_along_axis(values, order, axis=1), axis=1)
    median: NDArray[Any] = louder[:, louder.shape[1] // 2]
    return median
