"""How good a channel sounds, by its sound alone: sums over ten seconds, judged every five by a small network."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from math import isnan

import numpy as np
from numpy.typing import NDArray

from analysis.emodel import BEST_MOS, WORST_MOS
from analysis.features import FRAMES_PER_S, level_dbov
from analysis.levels import Levels
from analysis.lookahead import LOOK_AHEAD_FRAMES
from analysis.moment import Moment, Passage
from analysis.network import Network
from analysis.rows import CHANNELS, Bools, Floats, Ints, Places, Rows, counts, ever, flags, shifted, values
from analysis.spectrum import BANDS, STEPS_PER_DB
from analysis.waveform import FRAME_UNITS

WINDOW_S = 5
"""How often a channel is judged, by the last two windows."""

LEAST_SPEECH_S = 2
"""Less speech than this tells nothing."""

NETWORK, STANDARD = "sound-weights.npz", "sound-standard.npz"
"""Made by `training/quality.py`: the network, and means and spreads of what it is told."""

STANDARD_STEPS, STANDARD_LIMIT = 40, 160
"""The network is told measures in fortieths of their spread, at most four spreads from the mean."""

_WINDOW = WINDOW_S * FRAMES_PER_S
_WINDOWS = 3  # that are kept: the present one, the one before, and the next, which may begin in the same pass
_EVERY = 2  # a frame of so many is measured: all of them tell hardly more
_POWER_UNIT = 64  # of mean squares, so that those of a pass add up in 32 bits
_TENTHS = 10
_SINGLE = 5  # of a frame of voice: 1, power, tenths of a decibel it changed by, length of flat tops, whether it has any
_LEAST_BACKGROUND = 5  # measured frames; of fewer it is not known
_UNKNOWN_BELOW = 60 * STEPS_PER_DB

_Amounts = NDArray[np.int32]


class SoundQuality(Rows):
    """Estimates what PESQ (ITU-T P.862.1) would say of a channel, without the original that PESQ compares with.

    It goes by the voice's bands, how far they spread and how they bend from hop to hop, which codecs, losses and
    noises change; by the background's bands; by how far peaks stand out, by flat tops, and by the unrest of levels.

    Attributes:
        mos: (rows, channels), 1..4.5, at the end of the window that ended last; NaN if there was too little speech.
    """

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self.rate = rate  # training listens here
        self.mos = values(CHANNELS, initial=np.nan)
        self.before = np.zeros((1, 1, CHANNELS, BANDS), dtype=np.int16)  # bands of the last hop,
        self.before_dbov = values(1, CHANNELS)  # level of the last frame,
        self.before_heard = flags(1, CHANNELS)  # and whether it had audio
        self.voice = counts(CHANNELS, _WINDOWS, _SINGLE + 3 * BANDS)  # sums of each window
        self.background = counts(CHANNELS, _WINDOWS, 1 + BANDS)
        self.peak = counts(CHANNELS, _WINDOWS)

    @property
    def rows(self) -> tuple[Rows, ...]:
        """All of its state."""
        return (self,)

    def hear(self, passage: Passage) -> None:
        """Take the next frames of every call."""
        self._measure(passage)
        ends = passage.stepping & ((passage.end + LOOK_AHEAD_FRAMES) % _WINDOW == 0)
        due = np.flatnonzero(ever(ends))
        if due.size:
            window = _window(passage.end[ends[:, due, 0].argmax(axis=0), due, 0])
            self._judge(due, window)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: an unfinished window is not judged."""

    def scores(self, row: int) -> list[float | None]:
        """How each channel of a row sounded when the last window ended, as `mos`; None if there was too little."""
        return [None if isnan(score) else score for score in self.mos[row].tolist()]

    def _measure(self, passage: Passage) -> None:
        """Add up every second frame of voice and of background, if the one before had audio, too."""
        frame, lengths = passage.frame, passage.lengths
        hops, self.before = shifted(self.before, frame.bands[..., -1, :], lengths)
        levels, self.before_dbov = shifted(self.before_dbov, frame.level_dbov, lengths)
        heard, self.before_heard = shifted(self.before_heard, passage.heard, lengths)
        measured = heard[:-1] & passage.usable & (passage.end % _EVERY == 0)
        at, begins, kept = _by_window(measured & passage.active, passage)
        if len(begins):
            bands, marks = frame.bands[at], frame.waveform[at]
            single = np.empty((len(bands), _SINGLE), dtype=np.int32)
            single[:, 0], single[:, 1] = 1, frame.mean_square[at] / _POWER_UNIT
            single[:, 2] = np.rint(np.abs(frame.level_dbov[at] - levels[at]) * _TENTHS)
            single[:, 3], single[:, 4] = marks["clipped"], marks["clipped"] > 0
            self.voice[kept] += np.add.reduceat(_of_voice(single, bands, hops[at]), begins, axis=0)
            self.peak[kept] = np.maximum(self.peak[kept], np.maximum.reduceat(marks["peak"], begins))
        at, begins, kept = _by_window(measured & self._levels.background_frames, passage)
        if len(begins):
            last = frame.bands[..., -1, :][at].astype(np.int32)
            self.background[kept] += np.add.reduceat(np.insert(last, 0, 1, axis=1), begins, axis=0)

    def _judge(self, rows: Ints, window: Ints) -> None:
        """Judge windows (k,) of rows and the ones before, which make room."""
        totals = self._totals(rows, window)
        mos = np.where(totals.audible, self.rate(totals), np.nan)
        self.mos[rows] = mos.reshape(len(rows), CHANNELS)
        for kept in (self.voice, self.background, self.peak):
            kept[rows, :, (window - 1) % _WINDOWS] = 0

    def _totals(self, rows: Ints, window: Ints) -> "Totals":
        slots = np.stack([window, window - 1], axis=1) % _WINDOWS
        voice, background, peak = (
            kept[rows[:, None], :, slots].swapaxes(1, 2) for kept in (self.voice, self.background, self.peak)
        )
        channels = len(rows) * CHANNELS
        return Totals(
            voice.sum(axis=2).reshape(channels, -1),
            background.sum(axis=2).reshape(channels, -1),
            peak.max(axis=2).reshape(channels),
        )


def _window(end: Ints) -> Ints:
    """Which window frames are of that end so many frames from the call's begin: it is judged when it has been taken,
    while the frames that were heard last are not judged yet."""
    return (end + LOOK_AHEAD_FRAMES - 1) // _WINDOW


def _by_window(chosen: Bools, passage: Passage) -> tuple[Places, Ints, Places]:
    """Frames that are `chosen` (steps, rows, channels), those of a channel's window together; where each such stretch
    begins among them, and where its sums are kept: row, channel and slot."""
    row, channel, step = np.nonzero(chosen.transpose(1, 2, 0))
    window = _window(passage.end[step, row, 0])
    stretch = (window * chosen.shape[1] + row) * CHANNELS + channel
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    return (step, row, channel), begins, (row[begins], channel[begins], window[begins] % _WINDOWS)


def _of_voice(single: _Amounts, bands: NDArray[np.int16], before: NDArray[np.int16]) -> _Amounts:
    """What frames add to the sums, (k, _SINGLE + 3 · BANDS): the `single` ones; of each band the level, its square, and
    how far it bends."""
    first, last = bands[:, 0], bands[:, 1]
    level = last.astype(np.int32)
    return np.concatenate([single, level, level * level, np.abs(last - 2 * first + before)], axis=1)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over windows of channels: of voice (k, ...), of background (k, ...), and the highest peak (k,)."""

    voice: Ints
    background: Ints
    peak: Ints

    @property
    def audible(self) -> Bools:
        """Whether there is enough speech to judge by, (k,)."""
        enough: Bools = self.voice[:, 0] >= LEAST_SPEECH_S * FRAMES_PER_S // _EVERY
        return enough

    def measures(self) -> Floats:
        """What the network judges, (k, measures), relative to the voice's level."""
        spoken = np.maximum(self.voice[:, :1], 1)
        single, bands = np.split(self.voice / spoken, [_SINGLE], axis=1)
        level, square, bend = np.split(bands, 3, axis=1)
        mean = self.voice[:, _SINGLE : _SINGLE + BANDS].sum(axis=1, keepdims=True) / (BANDS * spoken)
        spread = np.sqrt(np.maximum(square - level * level, 0.0))
        _, power, unrest, clipped, clipped_frames = np.split(single, _SINGLE, axis=1)
        crest_db = level_dbov(np.square(self.peak[:, None].astype(np.float64))) - level_dbov(power * _POWER_UNIT)
        quiet = self.background[:, :1]
        background = self.background[:, 1:] / np.maximum(quiet, 1)
        below = np.where(quiet >= _LEAST_BACKGROUND, np.minimum(background, level), level - _UNKNOWN_BELOW) - mean
        still = quiet / (quiet + spoken)
        tops = _fourth_root(clipped / FRAME_UNITS), _fourth_root(clipped_frames)
        return np.concatenate([level - mean, spread, bend, below, mean, still, crest_db, unrest, *tops], axis=1)


def _fourth_root(shares: Floats) -> Floats:
    """Spreads small shares out; unlike a logarithm it is rounded alike in arrays of any length."""
    root: Floats = np.sqrt(np.sqrt(shares))
    return root


def rate(totals: Totals) -> Floats:
    """The score of channels by their sums, (k,), 1..4.5."""
    return score(totals.measures())


def score(measures: Floats) -> Floats:
    """What the network thinks of measures (k, measures): (k,), 1..4.5."""
    good = _network().probability(standard(measures)).astype(np.float64)
    return WORST_MOS + (BEST_MOS - WORST_MOS) * good


def standard(measures: Floats) -> NDArray[np.float32]:
    """Measures as the network takes them: whole numbers."""
    mean, spread = _standard()
    steps = np.rint((measures - mean) / spread * STANDARD_STEPS)
    return np.clip(steps, -STANDARD_LIMIT, STANDARD_LIMIT).astype(np.float32)


@cache
def _standard() -> tuple[Floats, Floats]:
    with np.load(BytesIO(files("analysis").joinpath(STANDARD).read_bytes())) as arrays:
        return arrays["mean"], arrays["spread"]


@cache
def _network() -> Network:
    return Network.load(NETWORK)
