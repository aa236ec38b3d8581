"""What was heard in every 20 ms of a recording, to be kept as a file: `python -m analysis FILE --frames OUT.npz`."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.features import SILENT_DBOV
from analysis.moment import Moment
from analysis.rows import Rows


class FrameLog:
    """Writes down each frame of a bank's only call: 9 bytes a frame and channel.

    It observes the bank as a detector does, so frames stand at their true time and speech is what the
    detectors took for it: talkspurts, with short gaps bridged and short bursts dropped.
    """

    rows: Sequence[Rows] = ()

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._probability = [array("f") for _ in range(channels)]
        self._level_dbov = [array("f") for _ in range(channels)]
        self._spurts: list[list[tuple[int, int]]] = [[] for _ in range(channels)]

    def step(self, now: Moment) -> None:
        """Write down one frame."""
        if now.stepping[0, 0]:
            for channel in range(self._channels):
                heard = now.heard[0, channel]
                self._probability[channel].append(now.probability[0, channel] if heard else 0.0)
                self._level_dbov[channel].append(now.frame.level_dbov[0, channel] if heard else SILENT_DBOV)
            self._note_ended(now)

    def finish(self, now: Moment) -> None:
        """The call is over, and its talkspurts with it."""
        if now.stepping[0, 0]:
            self._note_ended(now)

    def talkspurts(self, channel: int) -> list[tuple[int, int]]:
        """Ended talkspurts of a channel, [start, end) in frames."""
        return self._spurts[channel]

    def speech(self) -> NDArray[np.bool_]:
        """Which frames are in a talkspurt that has ended, (channels, frames)."""
        speech = np.zeros((self._channels, len(self._probability[0])), dtype=np.bool_)
        for channel in range(self._channels):
            for start, end in self.talkspurts(channel):
                speech[channel, start:end] = True
        return speech

    def level_dbov(self) -> NDArray[np.float32]:
        """Levels of all frames, (channels, frames), -100..0."""
        return np.array(self._level_dbov, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write an .npz of `speech` (channels, frames) bool, `probability` and `levelDbov`, float32 of that shape."""
        probability = np.array(self._probability, dtype=np.float32)
        with path.open("wb") as file:
            np.savez_compressed(file, speech=self.speech(), probability=probability, levelDbov=self.level_dbov())

    def _note_ended(self, now: Moment) -> None:
        for channel in np.flatnonzero(now.spurts.ended[0, : self._channels]).tolist():
            self._spurts[channel].append((int(now.spurts.start[0, channel]), int(now.spurts.until[0, channel])))
