"""What tells speech from noise in a frame: its bands against noise and level of the channel, and the frames around."""

import numpy as np
from numpy.typing import NDArray

from analysis.features import FRAMES_PER_S, SILENT_DBOV, Features
from analysis.lookahead import LOOK_AHEAD_FRAMES
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts
from analysis.spectrum import BANDS, HOPS, STEPS_PER_DB

Steps = NDArray[np.float32]
"""Levels and their differences in steps of half a decibel."""

_AROUND = (-10, -8, -6, -4, -3, -2, -1, 0, 1, 2)  # frames from the judged one
_KEPT = LOOK_AHEAD_FRAMES - _AROUND[0]
_OF_EACH = BANDS + 3  # numbers that each of them gives
_OF_CHANNEL = 4 * BANDS + 4  # numbers that the channel gives
INPUTS = len(_AROUND) * _OF_EACH + _OF_CHANNEL
"""Whole numbers that a frame is judged by, each below 2^8."""

_QUIETEST_FLOOR = np.float32(40.0)  # -80 dBov in a band: digital silence must not make room tone look like speech
_QUIETEST_LEVEL = np.float32(80.0)  # -60 dBov
_FALL = np.float32(0.25)  # of the way down to a quieter frame
_RISE = np.float32(4.0 * STEPS_PER_DB / FRAMES_PER_S)  # 4 dB a second
_FIRST_RISE = np.float32(1.6)  # at first; it lessens over two seconds
_FIRST_FRAMES = np.float32(2 * FRAMES_PER_S)
_MEAN_FRAMES = np.float32(FRAMES_PER_S)
_LEVEL_RISE = np.float32(0.5)
_LEVEL_FALL = np.float32(1.5 * STEPS_PER_DB / FRAMES_PER_S)
_LEVEL_RANGE = np.float32(30.0 * STEPS_PER_DB)  # below the loudest that is told apart
_KIND_FRAMES = np.float32(3 * FRAMES_PER_S)
_DRAW = np.float32(0.3 * STEPS_PER_DB / FRAMES_PER_S)
_LEARN_ZEROS_AFTER_FRAMES = 10  # shorter runs of zeros are lost packets and tell nothing of the noise
_CLEAREST, _FAINTEST = 100, -40  # differences between frames and what was before are clipped to -20..50 dB
_FAR_BELOW = -160
_OLD_FRAMES = 100  # after these a call is no longer young
_TILT_STEPS = 50


class Surroundings(Rows):
    """Follows what each channel sounds like and says how a frame stands out from it.

    Of each band, `floor` falls fast to what is quieter and rises slowly, `mean` and `spread` are those of about a
    second. `level` is that of the loudest lately. Frames are of two kinds, divided at the middle of their mean
    levels, `near` and `far`: while a party talks, its own speech and what is heard between. `between` is what the
    bands are in the latter. All are in steps of half a decibel above -100 dBov. Audio that is missing, and zeros for
    less than 200 ms, teach nothing.

    Arithmetic is float32, element by element, so it does not depend on how many rows there are.
    """

    def __init__(self) -> None:
        self.learnt = counts(CHANNELS)
        self.zeros = counts(CHANNELS)  # length of the present run of zero frames
        self.floor: Steps = np.full((1, CHANNELS, BANDS), _QUIETEST_FLOOR)
        self.mean: Steps = np.full((1, CHANNELS, BANDS), _QUIETEST_FLOOR)
        self.spread: Steps = np.zeros((1, CHANNELS, BANDS), dtype=np.float32)
        self.level: Steps = np.full((1, CHANNELS, 1), _QUIETEST_LEVEL)
        self.near: Steps = np.full((1, CHANNELS, 1), _QUIETEST_LEVEL)
        self.far: Steps = np.full((1, CHANNELS, 1), _QUIETEST_LEVEL)
        self.near_frames: Steps = np.zeros((1, CHANNELS, 1), dtype=np.float32)
        self.between: Steps = np.full((1, CHANNELS, BANDS), _QUIETEST_FLOOR)
        self.line: Steps = np.zeros((1, _KEPT, CHANNELS, _OF_EACH), dtype=np.float32)  # what the last frames gave

    def follow(self, frames: Features, heard: Bools, lengths: Ints) -> tuple[Steps, Steps]:
        """Take the next frames of all rows, (steps, rows, channels) of which `lengths` (rows,) count.

        Returns what each frame gives, those kept from before put first, (kept + steps, rows, channels, _), and
        what is known of the channel after each, (steps, rows, channels, _).
        """
        bands = (frames.bands.sum(axis=-2) // HOPS).astype(np.float32)
        loudness = np.rint((frames.level_dbov - SILENT_DBOV) * STEPS_PER_DB).astype(np.float32)
        tilt = np.rint(frames.tilt * _TILT_STEPS).astype(np.float32)
        each = np.zeros((*heard.shape, _OF_EACH), dtype=np.float32)
        channel = np.empty((*heard.shape, _OF_CHANNEL), dtype=np.float32)
        for step in range(len(heard)):
            hearing = heard[step] & (lengths > step)[:, None]
            self._learn(bands[step], loudness[step], frames.zero[step], hearing)
            self._describe(channel[step])
            np.subtract(bands[step], self.floor, out=each[step, :, :, :BANDS])
            np.subtract(loudness[step], self.level[:, :, 0] - _LEVEL_RANGE, out=each[step, :, :, BANDS])
            np.subtract(loudness[step], self._middle[:, :, 0], out=each[step, :, :, BANDS + 1])
            each[step, :, :, BANDS + 2] = tilt[step]
        np.clip(np.rint(channel, out=channel), _FAR_BELOW, -_FAR_BELOW, out=channel)
        np.clip(np.rint(each, out=each), _FAINTEST, _CLEAREST, out=each)
        each[~heard] = 0.0
        line = np.concatenate([self.line.swapaxes(0, 1), each])
        kept = lengths[:, None] + np.arange(_KEPT)
        self.line = line[kept, np.arange(len(lengths))[:, None]]
        return line, channel

    def _learn(self, bands: Steps, loudness: Steps, zero: Bools, hearing: Bools) -> None:
        np.copyto(self.zeros, np.where(zero, self.zeros + 1, 0), where=hearing)
        telling = hearing & (~zero | (self.zeros >= _LEARN_ZEROS_AFTER_FRAMES))
        self.learnt += telling
        age = self.learnt.astype(np.float32)[:, :, None]
        weight = telling[:, :, None] / np.minimum(np.maximum(age, np.float32(1.0)), _MEAN_FRAMES)
        apart = bands - self.mean
        self.mean += apart * weight
        np.abs(apart, out=apart)
        apart -= self.spread
        apart *= weight
        self.spread += apart
        rise = _RISE + _FIRST_RISE * np.maximum(np.float32(0.0), np.float32(1.0) - age / _FIRST_FRAMES)
        above = np.maximum(bands, _QUIETEST_FLOOR)
        above -= self.floor
        change = np.minimum(above, np.float32(0.0)) * _FALL
        change += np.minimum(np.maximum(above, np.float32(0.0), out=above), rise, out=above)
        change *= telling[:, :, None]
        self.floor += change
        louder = loudness[:, :, None] - self.level
        towards = np.where(louder > 0, louder * _LEVEL_RISE, np.maximum(-_LEVEL_FALL, _QUIETEST_LEVEL - self.level))
        self.level += towards * telling[:, :, None]
        self._divide(bands, np.maximum(loudness, _QUIETEST_FLOOR)[:, :, None], telling[:, :, None], age)

    @property
    def _middle(self) -> Steps:
        middle: Steps = (self.near + self.far) * np.float32(0.5)
        return middle

    def _divide(self, bands: Steps, loudness: Steps, telling: Bools, age: Steps) -> None:
        """Take a frame as near or far; the level of the kind that does not come draws slowly near the other's."""
        first = telling & (age == np.float32(1.0))
        np.copyto(self.near, loudness, where=first)
        np.copyto(self.far, loudness, where=first)
        near = telling & (loudness > self._middle)
        far = telling & ~near
        self.near_frames += near
        draw = np.minimum(_DRAW, (self.near - self.far) * np.float32(0.5))
        frames = np.maximum(self.near_frames, np.float32(1.0))
        weight = near / np.minimum(frames, _KIND_FRAMES)
        self.near += (loudness - self.near) * weight - draw * far
        weight = far / np.minimum(np.maximum(age - self.near_frames, np.float32(1.0)), _KIND_FRAMES)
        self.far += (loudness - self.far) * weight + draw * near
        self.between += (bands - self.between) * weight

    def _describe(self, channel: Steps) -> None:
        np.subtract(self.floor, self.level, out=channel[:, :, :BANDS])
        np.subtract(self.mean, self.floor, out=channel[:, :, BANDS : 2 * BANDS])
        channel[:, :, 2 * BANDS : 3 * BANDS] = self.spread
        np.subtract(self.between, self.floor, out=channel[:, :, 3 * BANDS : 4 * BANDS])
        channel[:, :, -4] = self.near[:, :, 0] - self.far[:, :, 0]
        channel[:, :, -3] = self.level[:, :, 0] - self.near[:, :, 0]
        channel[:, :, -2] = self.level[:, :, 0] - _QUIETEST_LEVEL
        channel[:, :, -1] = np.minimum(self.learnt, _OLD_FRAMES)


def inputs(line: Steps, channel: Steps) -> Steps:
    """Of what `follow` gave, what each step's frame is judged by, the one LOOK_AHEAD_FRAMES before it:
    (frames, INPUTS)."""
    steps = len(channel)
    rows: Steps = np.empty((*channel.shape[:3], INPUTS), dtype=np.float32)
    for number, offset in enumerate(_AROUND):
        first = offset - _AROUND[0]
        rows[..., number * _OF_EACH : (number + 1) * _OF_EACH] = line[first : first + steps]
    rows[..., -_OF_CHANNEL:] = channel
    return rows.reshape(-1, INPUTS)
