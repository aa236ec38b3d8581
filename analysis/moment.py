"""One frame of every call at once: what the detectors are told in each step."""

from dataclasses import dataclass

from analysis.echo import Echo
from analysis.features import Features
from analysis.music import Music
from analysis.rows import Bools, Ints
from analysis.talkspurts import Talkspurts
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
        music: where music plays.
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
    music: Music
    echo: Echo
    one_source: Bools
    seconds: Ints

    @property
    def readable(self) -> Bools:
        """(rows, channels), the channel does not have audio in a wrong format."""
        return self.usable | ~self.heard
