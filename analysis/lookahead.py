"""Look-ahead: frames are kept back until those have come by which they are judged."""

from dataclasses import fields
from typing import Any

from numpy.typing import NDArray

from analysis.features import Features
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, flags, shifted

LOOK_AHEAD_FRAMES = 2
"""Frames after the judged one that the judgement needs: 40 ms."""

_FIELDS = tuple(field.name for field in fields(Features))


class LookAhead(Rows):
    """Delays the frames of each row by LOOK_AHEAD_FRAMES.

    Attributes:
        known: (rows, 1), frames of the call that have come so far.
        heard: (rows, LOOK_AHEAD_FRAMES, channels), which of those kept back had audio; their features have the
            names and shapes of those of `Features`.
    """

    def __init__(self) -> None:
        self.known = counts(1)
        self.heard = flags(LOOK_AHEAD_FRAMES, CHANNELS)
        nothing = Features.of_nothing((1, LOOK_AHEAD_FRAMES, CHANNELS))
        for name in _FIELDS:
            setattr(self, name, getattr(nothing, name))

    def delay(self, frames: Features, heard: Bools, lengths: Ints) -> tuple[Features, Bools]:
        """Take the next frames of all rows, (steps, rows, channels) of which `lengths` (rows,) count; give as many
        that came LOOK_AHEAD_FRAMES before each. Those from before the call are empty."""
        delayed = {name: self._shift(name, getattr(frames, name), lengths) for name in _FIELDS}
        return Features(**delayed), self._shift("heard", heard, lengths)

    def _shift(self, name: str, latest: NDArray[Any], lengths: Ints) -> NDArray[Any]:
        line, kept = shifted(getattr(self, name), latest, lengths)
        setattr(self, name, kept)
        return line[: len(latest)]
