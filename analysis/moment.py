"""What the detectors are told: one frame of every call at once, or all frames of a pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.echo import Echo
from analysis.features import Features
from analysis.music import MusicHeard
from analysis.rows import Bools, Ints
from analysis.talkspurts import Runs, Talkspurts
from analysis.vad import Probabilities


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of the engine, or the end of calls.

    Attributes:
        stepping: (rows, 1), the calls that this is about; nothing else may change.
        end: (rows, 1), frames of the call so far, the present one included: the present time.
        known: (rows, 1), frames of the call that have come so far, those by which the present one was judged included.
        heard: (rows, channels), the channel had audio in this frame.
        usable: (rows, channels), it had, and the channel is not in a wrong format.
        misread: (rows, channels), the channel is in a wrong format, so nobody knows what is said on it.
        misread_from: (rows, channels), since when, where it is.
        present: (rows, channels), the call has this channel at all.
        two: (rows, 1), the call has two channels.
        probability: (rows, channels), how probable speech is in this frame, 0..1.
        active: (rows, channels), somebody speaks.
        frame: features of the frame, meaningless where not heard.
        spurts: the talkspurts, this frame included.
        music: where music plays, (rows, channels).
        echo: which channels return the other's speech.
        one_source: (rows, 1), both channels carry the same.
        seconds: (k,), the rows in which a second of the call ends with this frame.
    """

    stepping: Bools
    end: Ints
    known: Ints
    heard: Bools
    usable: Bools
    misread: Bools
    misread_from: Ints
    present: Bools
    two: Bools
    probability: Probabilities
    active: Bools
    frame: Features
    spurts: Talkspurts
    music: MusicHeard
    echo: Echo
    one_source: Bools
    seconds: Ints

    @property
    def readable(self) -> Bools:
        """(rows, channels), the channel does not have audio in a wrong format."""
        return self.usable | ~self.heard


@dataclass(frozen=True, slots=True)
class Passage:
    """The frames of a pass, at most a second of each call, for what need not go step by step.

    As `Moment`, with the steps as a further axis in front of all that is about frames.

    Attributes:
        lengths: (rows,), how many of the steps are a row's; those after them are nothing.
        stepping, end, known: (steps, rows, 1).
        heard, usable, active: (steps, rows, channels).
        music, spurts: (steps, rows, channels).
        frame: features, (steps, rows, channels).
        tonal: (steps, rows, channels), the frame is part of a telephone's tone.
        present, two: (rows, channels) and (rows, 1).
        second: of the rows in which a second ended in this pass (its `seconds`), the moment when it did.
        ends: (steps, rows, 1), the frames with which those seconds ended.
        ending: (steps, rows, 1), the frames up to those ends; all in the other rows.
        moments: each step.
    """

    lengths: Ints
    stepping: Bools
    end: Ints
    known: Ints
    heard: Bools
    usable: Bools
    active: Bools
    music: MusicHeard
    spurts: Runs
    frame: Features
    tonal: Bools
    present: Bools
    two: Bools
    second: Moment
    ends: Bools
    ending: Bools
    moments: Sequence[Moment]

    def ended(self, step: int) -> Ints:
        """The rows in which a second ended with this step, (k,)."""
        rows = self.second.seconds
        ended: Ints = rows[self.ends[step, rows, 0]]
        return ended

    def tally(self, amounts: NDArray[Any], kept: NDArray[Any]) -> NDArray[Any]:
        """Add up whole numbers (steps, rows, ...) by seconds, upon what is `kept` (rows, ...) of the present ones.
        Returns the sums of the seconds that ended, (k, ...); those of the next ones are kept."""
        rows, total = self.second.seconds, amounts.sum(axis=0)
        if not rows.size:
            kept += total
            return kept[rows]
        ending = self.ending[:, rows].reshape(len(amounts), len(rows), *[1] * (amounts.ndim - 2))
        until = np.where(ending, amounts[:, rows], 0).sum(axis=0)
        ended: NDArray[Any] = kept[rows] + until
        kept += total
        kept[rows] = total[rows] - until
        return ended
