"""Music: is what a channel carries the music that is played to who waits?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.features import FRAMES_PER_S, SILENT_DBOV, Features
from analysis.rows import CHANNELS, Bools, Floats, Ints, Pairs, Places, Rows, counts, flags, places, some
from analysis.spectrum import STEPS_PER_DB

LONG_S, SHORT_S = 8, 3
"""Windows that are judged: the long one finds music, the short one tells when it is over."""

WEIGHTS = Path(__file__).with_name("music-weights.json")
"""Made by `training/music.py`."""

_WINDOW = LONG_S * FRAMES_PER_S
_COMPARED = slice(2, 18)  # bands of 300 to 3250 Hz
_LATER_FRAMES = 5
_SYLLABLE_FRAMES = 6  # half a period of 4 Hz, the rhythm of speech
_QUIET_STEPS = 30 * STEPS_PER_DB  # -70 dBov: below it all is silence
_FLOOR = np.uint8(25 * STEPS_PER_DB)
_SOUNDING = np.uint8(27 * STEPS_PER_DB)
_SAME, _ALMOST_SAME, _MOST = 1 * STEPS_PER_DB, 3 * STEPS_PER_DB // 2, 12 * STEPS_PER_DB
_LOW, _FAR_LOWER, _FLAT = 10 * STEPS_PER_DB, 15 * STEPS_PER_DB, STEPS_PER_DB // 2
_LOUDER_HALF = 0.8
FEATURE_STEPS = 16
_FEATURE_LIMIT = 4 * FEATURE_STEPS


@dataclass(frozen=True, slots=True)
class MusicThresholds:
    """When a sound is music. Levels dBov and dB, lengths in frames of 20 ms, scores log odds."""

    quietest_dbov: float = -45.0
    below_loudest_db: float = 15.0
    found: float = 2.0
    kept: float = -2.0
    pause_db: float = 25.0
    pause_frames: int = 15
    loud_fall_steps: int = 1


class MusicHeard(NamedTuple):
    """Where music plays, in the frames of a pass, (steps, rows, channels), or in one of them.

    Attributes:
        on: this is music.
        possible: it may turn out to be: there is sound, and what is known of it does not tell otherwise.
        since: frame in which the music began.
        known: frame in which it was found.
        low: frames of the present pause.
    """

    on: Bools
    possible: Bools
    since: Ints
    known: Ints
    low: Ints

    def at(self, step: int) -> "MusicHeard":
        """One step of many."""
        return MusicHeard._make(line[step] for line in self)


class _Pauses(NamedTuple):
    """How sound is divided, (steps, rows, channels): frames of the present pause and whether it is one that ends music,
    where sound began after the last one, frames since then, and the loudest level of late."""

    low: Ints
    paused: Bools
    began: Ints
    sounding: Ints
    loud: Ints


class Music(Rows):
    """Finds music in windows of 8 s, each second, by how steady its level and its bands are.

    Speech rises and falls some four times a second and pauses between its phrases; music is held, and its
    bands stand still for 20 and for 100 ms more often than those of speech or noise. Eleven such measures
    go through a small network with whole-numbered weights. Music goes on while the last 3 s are like it,
    and is over at once with a pause of 300 ms; it began after the last one.

    Only frames with audio count; missing audio is a pause.
    """

    def __init__(self, thresholds: MusicThresholds) -> None:
        self._limits = thresholds
        self.on = flags(CHANNELS)
        self.possible = flags(CHANNELS)
        self.since = counts(CHANNELS)
        self.known = counts(CHANNELS)
        self.taken = counts(CHANNELS)  # frames with audio
        self.level = np.zeros((1, CHANNELS, _WINDOW), dtype=np.uint8)  # steps above SILENT_DBOV; the last second fills
        self.bands = np.zeros((1, CHANNELS, _LATER_FRAMES + FRAMES_PER_S, 16), dtype=np.uint8)
        self.stillness = counts(CHANNELS, LONG_S, 4)  # of each second, see _stillness
        self.loud = counts(CHANNELS)  # the loudest level of late, in 1/50 steps
        self.low = counts(CHANNELS)  # frames of the present pause
        self.began = counts(CHANNELS)  # where sound last began, after a pause
        self.sounding = counts(CHANNELS)  # frames since then
        self.alike = flags(CHANNELS)  # the last 3 s were like music

    def hear(self, frames: Features, heard: Bools, end: Ints, stepping: Bools) -> MusicHeard:
        """Take the next frames of all rows, at most a second of each: features and `heard` (steps, rows, channels);
        `end`, the frames so far, and `stepping` (steps, rows, 1)."""
        number = self.taken + np.cumsum(heard, axis=0)
        self.taken = number[-1]
        levels = np.rint((frames.level_dbov - SILENT_DBOV) * STEPS_PER_DB).astype(np.int64)
        pauses = self._follow_pauses(levels, heard, end, stepping)
        full = heard & (number % FRAMES_PER_S == 0)
        until = np.cumsum(full, axis=0) - full == 0  # the second that was going on, until it is full
        self._fill(places(heard & until), number, levels, frames)
        music = self._music(pauses, until)
        if some(full):
            at = places(full)
            self._judge(at, music, pauses, end)
            self._fill(places(heard & ~until), number, levels, frames)
            later = self._music(pauses, ~until)
            lines = [np.where(until, before, after) for before, after in zip(music, later, strict=True)]
            music = MusicHeard._make(lines)
            for line, judged in ((music.on, self.on), (music.since, self.since), (music.known, self.known)):
                line[at] = judged[at[1:]]
        self.on, self.possible = music.on[-1], music.possible[-1]
        self.low, _, self.began, self.sounding, self.loud = (line[-1] for line in pauses)
        return music

    @property
    def now(self) -> MusicHeard:
        """As of the last frames that were taken, (rows, channels)."""
        return MusicHeard(self.on, self.possible, self.since, self.known, self.low)

    def describe(self, pairs: Pairs, seconds: int) -> Floats:
        """Measures of the last `seconds` of each pair, when a second is full: (pairs, 11)."""
        level = np.maximum(self.level[pairs][:, -seconds * FRAMES_PER_S :], np.uint8(_QUIET_STEPS))
        loud = _loud_level(level)
        level = level.astype(np.int16)
        mean = level.mean(axis=1)
        change = np.abs(np.diff(level, axis=1))
        swing = np.abs(level[:, _SYLLABLE_FRAMES:] - level[:, :-_SYLLABLE_FRAMES])
        same, almost_same, flux, sounding = self.stillness[pairs][:, -seconds:].sum(axis=1).T
        bands = seconds * FRAMES_PER_S * self.bands.shape[-1]
        measures = [
            (level < mean[:, None] - _LOW).mean(axis=1),
            (level < loud[:, None].astype(np.int16) - _FAR_LOWER).mean(axis=1),
            swing.mean(axis=1),
            change.mean(axis=1),
            same / (sounding + 1),
            almost_same / (sounding + 1),
            flux / bands,
            sounding / bands,
            np.sqrt(np.maximum(np.square(level, dtype=np.int32).mean(axis=1) - mean**2, 0.0)),
            (change <= _FLAT).mean(axis=1),
            change.mean(axis=1) / (flux / bands + 0.5),
        ]
        return np.stack(measures, axis=1)

    def _fill(self, at: Places, number: Ints, levels: Ints, frames: Features) -> None:
        """Put frames with audio, each the one of this `number` of its channel, into the second that they are of."""
        _, rows, channels = at
        place = (number[at] - 1) % FRAMES_PER_S
        self.level[rows, channels, _WINDOW - FRAMES_PER_S + place] = levels[at]
        self.bands[rows, channels, _LATER_FRAMES + place] = np.maximum(frames.bands[..., 0, _COMPARED][at], _FLOOR)

    def _follow_pauses(self, levels: Ints, heard: Bools, end: Ints, stepping: Bools) -> _Pauses:
        limits = self._limits
        fallen = np.cumsum(heard, axis=0) * limits.loud_fall_steps
        loudest = np.where(heard, levels * FRAMES_PER_S + fallen, self.loud)
        loud = np.maximum(np.maximum.accumulate(loudest, axis=0), self.loud) - fallen
        low = levels * FRAMES_PER_S < loud - round(limits.pause_db * STEPS_PER_DB * FRAMES_PER_S)
        low |= ~heard | (levels < (limits.quietest_dbov - SILENT_DBOV) * STEPS_PER_DB)
        time: Ints = np.cumsum(stepping, axis=0, dtype=np.int64)
        pause = _since(time, stepping & ~low, self.low)
        paused = pause >= limits.pause_frames
        begins = heard & ~low & (np.concatenate([self.low[None], pause[:-1]]) >= limits.pause_frames)
        began = np.maximum.accumulate(np.where(begins, end - 1, self.began), axis=0)
        sounding = _since(time, stepping & paused, self.sounding)
        return _Pauses(pause, paused, began, sounding, loud)

    def _music(self, pauses: _Pauses, those: Bools) -> MusicHeard:
        """Where music goes on in `those` frames of the pass, by what is known of it now."""
        on = self.on & ~np.logical_or.accumulate(pauses.paused & those, axis=0)
        young = pauses.sounding <= (SHORT_S + 1) * FRAMES_PER_S
        possible = ~pauses.paused & (pauses.sounding > 0) & (on | self.alike | young)
        since, known = (np.repeat(frame[None], len(on), axis=0) for frame in (self.since, self.known))
        return MusicHeard(on, possible, since, known, pauses.low)

    def _judge(self, at: Places, music: MusicHeard, pauses: _Pauses, end: Ints) -> None:
        """Judge the windows that end with the seconds that are full, and make room for the next."""
        step, rows, channels = at
        pairs, now = (rows, channels), end[step, rows, 0]
        for known, line in ((self.on, music.on), (self.sounding, pauses.sounding), (self.loud, pauses.loud)):
            known[pairs] = line[at]  # as of that frame
        self.stillness[(*pairs, -1)] = _stillness(self.bands[pairs])
        short = self._is_like_music(pairs, SHORT_S, self._limits.kept)
        long = short.copy()
        long[short] = self._is_like_music((rows[short], channels[short]), LONG_S, self._limits.found)
        found = long & (self.sounding[pairs] >= SHORT_S * FRAMES_PER_S) & ~self.on[pairs]
        earliest = np.maximum(pauses.began[at], now - _WINDOW - FRAMES_PER_S)
        self.since[pairs] = np.where(found, earliest, self.since[pairs])
        self.known[pairs] = np.where(found, now, self.known[pairs])
        self.on[pairs] = short & (self.on[pairs] | found)
        self.alike[pairs] = short
        self.level[(*pairs, slice(None, -FRAMES_PER_S))] = self.level[(*pairs, slice(FRAMES_PER_S, None))]
        self.bands[(*pairs, slice(None, _LATER_FRAMES))] = self.bands[(*pairs, slice(FRAMES_PER_S, None))]
        self.stillness[(*pairs, slice(None, -1))] = self.stillness[(*pairs, slice(1, None))]

    def _is_like_music(self, pairs: Pairs, seconds: int, least: float) -> Bools:
        """Whether the last `seconds`, if they are known and loud enough, score `least`: (pairs,)."""
        like = self._sounds(pairs) & (self.taken[pairs] >= seconds * FRAMES_PER_S)
        judged = pairs[0][like], pairs[1][like]
        like[like] = self._score(judged, seconds) >= least
        return like

    def _sounds(self, pairs: Pairs) -> Bools:
        """Whether the last 3 s are loud enough for music, and at first beside what was heard before: noise is not."""
        level = _loud_level(self.level[pairs][:, -SHORT_S * FRAMES_PER_S :]).astype(np.int64)
        sounds: Bools = level >= (self._limits.quietest_dbov - SILENT_DBOV) * STEPS_PER_DB
        loudest = self.loud[pairs] - round(self._limits.below_loudest_db * STEPS_PER_DB * FRAMES_PER_S)
        return sounds & (self.on[pairs] | (level * FRAMES_PER_S >= loudest))

    def _score(self, pairs: Pairs, seconds: int) -> Floats:
        return _network(seconds).score(self.describe(pairs, seconds))


@dataclass(frozen=True, slots=True)
class Network:
    """A layer of rectified units and a sum, whole-numbered, so that no order of adding changes a bit.

    Attributes:
        mean, scale: (measures,), what a measure is standardised by.
        hidden, hidden_bias: (measures, units) and (units,).
        output, output_bias: (units,) and a number.
        unit: what a score of 1, in log odds, is in whole numbers.
    """

    mean: Floats
    scale: Floats
    hidden: Ints
    hidden_bias: Ints
    output: Ints
    output_bias: int
    unit: float

    @classmethod
    def of(cls, layers: Mapping[str, Any]) -> "Network":
        """A network of lists of numbers."""
        arrays: dict[str, Any] = {name: np.array(layers[name]) for name in Network.__slots__}
        return cls(**arrays)

    def score(self, measures: Floats) -> Floats:
        """Log odds of music over speech and noise of (windows, measures), less what makes 1 % of speech music."""
        standard = np.rint((measures - self.mean) * self.scale * FEATURE_STEPS)
        inputs = np.clip(standard, -_FEATURE_LIMIT, _FEATURE_LIMIT).astype(np.int64)
        units = np.maximum(inputs @ self.hidden + self.hidden_bias, 0)
        score: Floats = (units @ self.output + self.output_bias) / self.unit
        return score


def _since(time: Ints, where: Bools, before: Ints) -> Ints:
    """How much `time` (steps, rows, 1) has passed since `where` (steps, rows, channels) was last true: so long it was
    `before` the first step, (rows, channels)."""
    latest: Ints = np.maximum.accumulate(np.where(where, time, -before), axis=0)
    return time - latest


@cache
def _network(seconds: int) -> Network:
    return Network.of(json.loads(WEIGHTS.read_text())[str(seconds)])


def _loud_level(level: NDArray[Any]) -> NDArray[Any]:
    """The level (windows, frames) that four fifths of the frames do not exceed."""
    place = int(level.shape[1] * _LOUDER_HALF)
    loud: NDArray[Any] = np.partition(level, place, axis=1)[:, place]
    return loud


def _stillness(bands: NDArray[np.uint8]) -> Ints:
    """Of a second of bands and the 5 frames before, (pairs, frames, 16): how many changed by no more than 1 dB in
    20 ms, by no more than 1.5 dB in 100 ms, the sum of their changes, and how many sounded at all: (pairs, 4)."""
    levels = bands.astype(np.int16)
    present = levels[:, _LATER_FRAMES:]
    sounding = present > _SOUNDING
    change = np.abs(present - levels[:, _LATER_FRAMES - 1 : -1])
    later = np.abs(present - levels[:, :-_LATER_FRAMES])
    sums = [(change <= _SAME) & sounding, (later <= _ALMOST_SAME) & sounding, np.minimum(change, _MOST), sounding]
    return np.stack([part.sum(axis=(1, 2), dtype=np.int64) for part in sums], axis=1)
