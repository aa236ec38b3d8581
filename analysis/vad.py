"""Voice activity: is somebody speaking in this frame? A small trained network's judgement, with hysteresis."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.features import FRAMES_PER_S, SILENT_DBOV, Features
from analysis.network import Network
from analysis.rows import CHANNELS, Bools, Floats, Ints, Rows, counts, flags, values
from analysis.surroundings import Surroundings, inputs

Probabilities = NDArray[np.float32]

_FRAMES_AT_ONCE = 2048  # their inputs and activations stay in the cache


@dataclass(frozen=True, slots=True)
class VadThresholds:
    """How probable speech must be to begin and to go on, and how loud: relative to the mean level of the speech so far,
    which is forgotten slowly, and at all."""

    begin: float = 0.55
    go_on: float = 0.35
    below_speech_db: float = 28.0
    quietest_dbov: float = -66.0
    speech_level_frames: int = 3 * FRAMES_PER_S
    speech_level_fall_db: float = 0.5 / FRAMES_PER_S


class VoiceActivity(Protocol):
    """Tells speech from everything else; `NetworkVad` is the engine's own."""

    @property
    def rows(self) -> Sequence[Rows]:
        """All of its state."""

    def judge(self, frames: Features, heard: Bools, lengths: Ints) -> Probabilities:
        """Take the next frames of all rows, features and `heard` (steps, rows, channels), of which `lengths` (rows,)
        count. Returns how probable it is that the frame LOOK_AHEAD_FRAMES before each is speech, of that shape."""

    def decide(self, probability: Probabilities, frame: Features, heard: Bools) -> Bools:
        """Whether a frame of each row is speech, (rows, channels); it is none where not `heard`."""


class NetworkVad(Rows):
    """A network judges how a frame's bands, and those a little before and 40 ms after it, stand out from the noise and
    the level of the channel; `training/vad.py` has trained it. What is far weaker than the speech before is none,
    whatever it thinks. A frame without audio decides nothing.
    """

    def __init__(self, thresholds: VadThresholds) -> None:
        self._limits = thresholds
        self._network = _network()
        self._surroundings = Surroundings()
        self.active = flags(CHANNELS)
        self.spoken = counts(CHANNELS)
        self.speech_dbov = values(CHANNELS, initial=SILENT_DBOV)  # a slow mean, in dB, of what was active
        self.rows = (self, self._surroundings)

    def judge(self, frames: Features, heard: Bools, lengths: Ints) -> Probabilities:
        """See `VoiceActivity`."""
        line, channel = self._surroundings.follow(frames, heard, lengths)
        probability = np.zeros(heard.shape, dtype=np.float32)
        rows = max(1, _FRAMES_AT_ONCE // (len(heard) * CHANNELS))
        for first in range(0, len(lengths), rows):
            part = slice(first, first + rows)
            if lengths[part].any():
                judged = self._network.probability(inputs(line[:, part], channel[:, part]))
                probability[:, part] = judged.reshape(probability[:, part].shape)
        return probability

    def decide(self, probability: Probabilities, frame: Features, heard: Bools) -> Bools:
        """See `VoiceActivity`."""
        limits = self._limits
        probable = probability >= np.where(self.active, limits.go_on, limits.begin)
        quietest = np.maximum(self.speech_dbov - limits.below_speech_db, limits.quietest_dbov)
        active: Bools = heard & probable & (frame.level_dbov >= quietest)
        np.copyto(self.active, active, where=heard)
        self._learn_level(frame.level_dbov, heard, active)
        return active

    def _learn_level(self, level_dbov: Floats, heard: Bools, active: Bools) -> None:
        self.spoken += active
        weight = 1.0 / np.minimum(np.maximum(self.spoken, 1), self._limits.speech_level_frames)
        towards = self.speech_dbov + (level_dbov - self.speech_dbov) * weight
        fallen = np.maximum(self.speech_dbov - self._limits.speech_level_fall_db, SILENT_DBOV)
        np.copyto(self.speech_dbov, np.where(active, towards, fallen), where=heard)


@cache
def _network() -> Network:
    return Network.load("vad-weights.npz")
