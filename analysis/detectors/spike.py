"""Volume spike: a channel is suddenly far louder than its speech has been."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.detectors.lives import MEDIUM, Desk, Lives
from analysis.features import FRAMES_PER_S, SILENT_DBOV, level_dbov
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Bools, Floats, Ints, Places, Rows, counts, flags, places, shifted, some, values

_WINDOW_FRAMES = 5
_RECENT_FRAMES = 16  # more than a gap that talkspurts bridge
_NO_AUDIO = -np.inf  # a window with a missing frame has no level
_TENTHS = 10
_LOUDEST = round(-SILENT_DBOV * _TENTHS)
_UNKNOWN = -1
_NO_REFERENCE_DBOV = np.inf
_FULL_SCALE = 32768.0
_LEVEL_STEP_DB = 0.1  # of `level_dbov`, by which a level may be lower than its mean square

Tenths = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class SpikeThresholds:
    """Gains in dB over the reference; lengths in frames of 20 ms."""

    medium_db: float = 10.0
    high_db: float = 16.0
    sustained_frames: int = 5
    over_after_frames: int = 10
    refractory_frames: int = 2 * FRAMES_PER_S
    reference_frames: int = 15 * FRAMES_PER_S
    least_reference_frames: int = FRAMES_PER_S * 3 // 2
    renew_every_frames: int = FRAMES_PER_S // 2


class VolumeSpike(Rows):
    """Finds windows of 100 ms, one every 20 ms, 10 dB over the reference for 100 ms or more.

    The reference is the median level of the channel's last 15 s of speech, the gaps within talkspurts included
    but not missing audio, renewed every 0.5 s of it. The event begins with the first such window and ends
    with the last, when none has followed for 200 ms; the next begins 2 s after that or later.
    """

    def __init__(self, desk: Desk, thresholds: SpikeThresholds) -> None:
        self._limits = thresholds
        self.lives = Lives(desk, "volume_spike", CHANNELS, self._metadata)
        self._desk = desk
        self.window = values(_WINDOW_FRAMES - 1, CHANNELS, initial=_NO_AUDIO)  # mean squares of the last frames
        self.recent = np.full((1, _RECENT_FRAMES, CHANNELS), _UNKNOWN, dtype=np.int16)  # their levels, see _tenths
        self.active_until = counts(CHANNELS)
        self.speech = np.full((1, CHANNELS, thresholds.reference_frames), _LOUDEST, dtype=np.int16)
        self.spoken = counts(CHANNELS)
        self.reference_dbov = values(CHANNELS, initial=_NO_REFERENCE_DBOV)
        self.suspect_square = values(CHANNELS, initial=np.inf)  # no window below it is loud
        self.loud = counts(CHANNELS)  # loud windows in a row
        self.loud_from = counts(CHANNELS)  # start of the first of them
        self.eligible = flags(CHANNELS)  # they began 2 s after the latest event or more
        self.event_until = counts(CHANNELS, initial=-thresholds.refractory_frames)  # end of its last loud window
        self.peak_square = values(CHANNELS)
        self.gain_db = values(CHANNELS)
        self.rows = (self, self.lives)

    def hear(self, passage: Passage) -> None:
        """Judge the next frames of every call."""
        mean_square = self._slide(passage)
        suspect_square, reference_dbov = self._learn(passage)
        suspect = places(passage.heard & (mean_square >= suspect_square))
        if len(suspect[0]) or some(self.loud) or some(self.lives.open):
            gain_db = np.full(mean_square.shape, -np.inf)
            gain_db[suspect] = level_dbov(mean_square[suspect]) - reference_dbov[suspect]
            for step, now in enumerate(passage.moments):
                self._judge(now, mean_square[step], gain_db[step])

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over, and their spikes with them."""
        self.lives.close(now.stepping, self.event_until)

    def _slide(self, passage: Passage) -> Floats:
        """Mean squares of the windows that end with each frame; below 0 if part of it is missing."""
        latest = np.where(passage.heard, passage.frame.mean_square, _NO_AUDIO)
        line, self.window = shifted(self.window, latest, passage.lengths)
        total: Floats = line[: len(latest)] + line[1 : 1 + len(latest)]
        for place in range(2, _WINDOW_FRAMES):
            total += line[place : place + len(latest)]
        total /= _WINDOW_FRAMES
        return total

    def _judge(self, now: Moment, mean_square: Floats, gain_db: Floats) -> None:
        """Judge one frame of every call; its gain is that of the window that ends with it."""
        self._desk.end = now.end
        loud = gain_db >= self._limits.medium_db
        if some(loud):
            self._follow(now, loud, mean_square, gain_db)
        np.copyto(self.loud, 0, where=now.stepping & ~loud)
        over = now.stepping & (now.end - self.event_until >= self._limits.over_after_frames)
        self.lives.close(over, self.event_until)

    def _follow(self, now: Moment, loud: Bools, mean_square: Floats, gain_db: Floats) -> None:
        first = loud & (self.loud == 0)
        np.copyto(self.loud_from, now.end - _WINDOW_FRAMES, where=first)
        np.copyto(self.eligible, now.end - self.event_until > self._limits.refractory_frames, where=first)
        for peak, value in ((self.peak_square, mean_square), (self.gain_db, gain_db)):
            np.copyto(peak, np.where(first & ~self.lives.open, value, np.maximum(peak, value)), where=loud)
        self.loud += loud
        rank = MEDIUM + (self.gain_db >= self._limits.high_db)
        self.lives.grow(loud, now.end, rank)
        opens = loud & ~self.lives.open & self.eligible & (self.loud >= self._limits.sustained_frames)
        self.lives.begin(opens, self.loud_from, now.end, rank, now)
        np.copyto(self.event_until, now.end, where=loud & self.lives.open)

    def _learn(self, passage: Passage) -> tuple[Floats, Floats]:
        """Take the levels of speech. Returns `suspect_square` and `reference_dbov` as they were when each frame was
        judged, (steps, rows, channels): before it was learnt from."""
        latest = np.where(passage.heard, _tenths(passage.frame.level_dbov), np.int16(_UNKNOWN))
        line, self.recent = shifted(self.recent, latest, passage.lengths)
        taken = self._speech(passage, line)
        number = self.spoken + np.cumsum(taken, axis=0)
        at = places(taken)
        steps = np.arange(len(latest))[:, None]
        suspects, references = (
            np.repeat(known[None], len(latest), axis=0) for known in (self.suspect_square, self.reference_dbov)
        )
        for frames, rows, channels in self._take(at, number[at], line[at]):
            speaking = passage.active[:, rows, channels] & (steps >= frames - _RECENT_FRAMES)
            later = steps > speaking.argmax(axis=0)  # than the step in which these frames were known to be speech
            for known, judged_by in ((self.suspect_square, suspects), (self.reference_dbov, references)):
                judged_by[:, rows, channels] = np.where(later, known[rows, channels], judged_by[:, rows, channels])
        self.spoken = number[-1]
        return suspects, references

    def _speech(self, passage: Passage, line: Tenths) -> Bools:
        """Which of the frames of `line` (recent + steps, rows, channels) are speech that is learnt from in this pass:
        active ones, and those of a gap that is known to be one now; missing audio is left out."""
        until = np.maximum.accumulate(np.where(passage.active, passage.end, self.active_until), axis=0)
        before = np.concatenate([self.active_until[None], until[:-1]])
        self.active_until = until[-1]
        taken = np.zeros(line.shape, dtype=np.bool_)
        taken[_RECENT_FRAMES:] = passage.active
        gap = np.where(passage.active & (passage.spurts.start < before), passage.end - 1 - before, 0)
        ends, rows, channels = places(gap > 0)
        lengths = gap[ends, rows, channels]
        back = 1 + np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        frames = (
            _RECENT_FRAMES + np.repeat(ends, lengths) - back,
            np.repeat(rows, lengths),
            np.repeat(channels, lengths),
        )
        taken[frames] = line[frames] != _UNKNOWN
        return taken

    def _take(self, at: Places, number: Ints, tenths: Tenths) -> Iterator[Places]:
        """Remember levels of speech of frames in the line, each the one of this `number` of its channel, and renew the
        reference where one makes it due: those, channel by channel."""
        limits, every = self._limits, self._limits.renew_every_frames
        due = (number >= limits.least_reference_frames) & (number % every == 0)
        turn = (number - 1) // every - self.spoken[at[1:]] // every  # how often it was due in this pass before
        for latest in range(turn.max(initial=-1) + 1):
            part = turn == latest
            frames, rows, channels = (place[part] for place in at)
            self.speech[rows, channels, (number[part] - 1) % limits.reference_frames] = tenths[part]
            ready = due[part]
            if some(ready):
                rows, channels = rows[ready], channels[ready]
                self._renew(rows, channels, np.minimum(number[part][ready], limits.reference_frames))
                yield frames[ready], rows, channels

    def _renew(self, rows: Ints, channels: Ints, known: Ints) -> None:
        """Take the median of the `known` levels of speech for the reference."""
        reference_dbov = _medians(self.speech[rows, channels], known)
        self.reference_dbov[rows, channels] = reference_dbov
        suspect_dbov = reference_dbov + self._limits.medium_db - _LEVEL_STEP_DB
        self.suspect_square[rows, channels] = _FULL_SCALE**2 * 10.0 ** (suspect_dbov / 10)

    def _metadata(self, row: int, place: int) -> Mapping[str, Any]:
        rms = float(np.sqrt(self.peak_square[row, place])) / _FULL_SCALE
        return {"level": round(rms, 3), "gainDb": round(float(self.gain_db[row, place]), 1)}


def _tenths(level_dbov: Floats) -> Tenths:
    """Levels as whole tenths of a decibel above SILENT_DBOV, in which they are exact."""
    tenths: Tenths = np.rint((level_dbov - SILENT_DBOV) * _TENTHS).astype(np.int16)
    return tenths


def _medians(tenths: Tenths, known: Ints) -> Floats:
    """Median level, dBov, of the first `known` of each row, (rows,); unknown ones are of the highest level."""
    ordered = np.sort(tenths, axis=1)
    row = np.arange(len(tenths))
    lower, upper = (SILENT_DBOV + ordered[row, place] / _TENTHS for place in ((known - 1) // 2, known // 2))
    middle: Floats = (lower + upper) / 2
    return middle
