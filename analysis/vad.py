"""Voice activity: is somebody speaking in this frame? A small trained network's judgement, with hysteresis."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.features import Features
from analysis.network import Network
from analysis.rows import CHANNELS, Bools, Ints, Rows, flags
from analysis.surroundings import Surroundings, inputs

Probabilities = NDArray[np.float32]

_FRAMES_AT_ONCE = 2048  # their inputs and activations stay in the cache


@dataclass(frozen=True, slots=True)
class VadThresholds:
    """How probable speech must be to begin, and to go on."""

    begin: float = 0.6
    go_on: float = 0.4


class VoiceActivity(Protocol):
    """Tells speech from everything else; `NetworkVad` is the engine's own."""

    @property
    def rows(self) -> Sequence[Rows]:
        """All of its state."""

    def judge(self, frames: Features, heard: Bools, lengths: Ints) -> Probabilities:
        """Take the next frames of all rows, features and `heard` (steps, rows, channels), of which `lengths` (rows,)
        count. Returns how probable it is that the frame LOOK_AHEAD_FRAMES before each is speech, of that shape."""

    def decide(self, probability: Probabilities, heard: Bools) -> Bools:
        """Whether a frame of each row is speech, (rows, channels); it is none where not `heard`."""


class NetworkVad(Rows):
    """A network judges how a frame's bands, and those of 200 ms before and 40 ms after it, stand out from the noise and
    the level of the channel. `training/vad.py` has trained it. A frame without audio decides nothing.
    """

    def __init__(self, thresholds: VadThresholds) -> None:
        self._limits = thresholds
        self._network = _network()
        self._surroundings = Surroundings()
        self.active = flags(CHANNELS)
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

    def decide(self, probability: Probabilities, heard: Bools) -> Bools:
        """See `VoiceActivity`."""
        active: Bools = heard & (probability >= np.where(self.active, self._limits.go_on, self._limits.begin))
        np.copyto(self.active, active, where=heard)
        return active


@cache
def _network() -> Network:
    return Network.load("vad-weights.npz")
