"""Voice activity: is somebody speaking in this frame? A simple detector by level and spectral tilt."""

from dataclasses import dataclass

import numpy as np

from analysis.features import FRAMES_PER_S, Features
from analysis.rows import CHANNELS, Bools, Floats, Rows, counts, flags, values

_QUIETEST_FLOOR_DBOV = -70.0  # clamp: digital silence must not make comfort noise look like speech
_BLOCK_FRAMES = FRAMES_PER_S // 2
_BLOCKS = 5  # with the block being filled, the floor is the minimum of the last 2.5 to 3 s
_LEARN_ZEROS_AFTER_FRAMES = 10  # shorter runs of zeros are lost packets and tell nothing of the noise
_UNKNOWN_DBOV = 0.0


@dataclass(frozen=True, slots=True)
class VadThresholds:
    """When a frame is speech. Margins are dB, levels dBov."""

    above_noise_db: float = 8.0
    below_speech_db: float = 22.0
    quietest_dbov: float = -55.0
    hysteresis_db: float = 3.0
    voiced_tilt: float = 0.2
    unvoiced_frames: int = 12
    speech_level_frames: int = 3 * FRAMES_PER_S
    speech_level_fall_db: float = 0.25 / FRAMES_PER_S


class EnergyVad(Rows):
    """Speech is clearly louder than the noise, and not far weaker than the speech before.

    The noise floor is the least level of the last 3 s (minimum statistics, after R. Martin 2001, without
    its smoothing). The speech level is a slow mean, in dB, of what was active. White noise and hiss do
    not begin speech (their tilt is not that of a voice) and do not keep it up for longer than a
    fricative lasts. Frames without audio change nothing. Who speaks from the very first frame is heard
    from the first dip of the voice on, as until then the voice is all that is known of the noise.
    """

    def __init__(self, thresholds: VadThresholds) -> None:
        self._limits = thresholds
        self.active = flags(CHANNELS)
        self.unvoiced = counts(CHANNELS)  # frames since the last one that sounded like a voice
        self.zeros = counts(CHANNELS)  # length of the present run of zero frames
        self.learnt = counts(CHANNELS)
        self.least = values(CHANNELS, initial=_UNKNOWN_DBOV)  # in the block being filled
        self.blocks = values(CHANNELS, _BLOCKS, initial=_UNKNOWN_DBOV)
        self.spoken = counts(CHANNELS)
        self.speech_dbov = values(CHANNELS, initial=_QUIETEST_FLOOR_DBOV)

    def step(self, frame: Features, heard: Bools) -> Bools:
        """Judge one frame of each row: `frame` and `heard` (rows, channels), active (rows, channels)."""
        floor = self._noise_floor(frame, heard)
        limits = self._limits
        threshold = np.maximum(floor + limits.above_noise_db, self.speech_dbov - limits.below_speech_db)
        np.maximum(threshold, limits.quietest_dbov, out=threshold)
        voiced = frame.tilt >= limits.voiced_tilt
        np.copyto(self.unvoiced, np.where(voiced, 0, self.unvoiced + 1), where=heard)
        begins = (frame.level_dbov >= threshold) & voiced
        goes_on = (frame.level_dbov >= threshold - limits.hysteresis_db) & (self.unvoiced <= limits.unvoiced_frames)
        active: Bools = heard & np.where(self.active, goes_on, begins)
        np.copyto(self.active, active, where=heard)
        self._learn_speech(frame, heard, active)
        return active

    def _noise_floor(self, frame: Features, heard: Bools) -> Floats:
        np.copyto(self.zeros, np.where(frame.zero, self.zeros + 1, 0), where=heard)
        telling = heard & (~frame.zero | (self.zeros >= _LEARN_ZEROS_AFTER_FRAMES))
        level = np.maximum(frame.level_dbov, _QUIETEST_FLOOR_DBOV)
        np.copyto(self.least, np.minimum(self.least, level), where=telling)
        floor: Floats = np.minimum(self.least, self.blocks.min(axis=2))
        self.learnt += telling
        full = telling & (self.learnt % _BLOCK_FRAMES == 0)
        if full.any():
            self.blocks[full] = np.column_stack([self.blocks[full][:, 1:], self.least[full]])
            self.least[full] = _UNKNOWN_DBOV
        return floor

    def _learn_speech(self, frame: Features, heard: Bools, active: Bools) -> None:
        self.spoken += active
        weight = 1.0 / np.clip(self.spoken, 1, self._limits.speech_level_frames)
        towards = self.speech_dbov + (frame.level_dbov - self.speech_dbov) * weight
        fallen = np.maximum(self.speech_dbov - self._limits.speech_level_fall_db, _QUIETEST_FLOOR_DBOV)
        np.copyto(self.speech_dbov, np.where(active, towards, fallen), where=heard)
