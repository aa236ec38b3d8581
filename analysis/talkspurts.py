"""Talkspurts: stretches of speech of one channel, short gaps bridged and short bursts dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, either, flags, lower


@dataclass(frozen=True, slots=True)
class TalkspurtThresholds:
    """What is bridged and what is dropped, in frames of 20 ms."""

    bridge_frames: int = 10
    shortest_frames: int = 4


class Runs(NamedTuple):
    """What `Talkspurts` say, of one step (rows, channels) or of many (steps, rows, channels)."""

    running: Bools
    confirmed: Bools
    ended: Bools
    start: Ints
    last: Ints
    until: Ints

    @classmethod
    def of_steps(cls, steps: Sequence["Runs"]) -> "Runs":
        """Steps one after the other."""
        return cls._make(np.stack(parts) for parts in zip(*steps, strict=True))

    def at(self, step: int) -> "Runs":
        """One step of many."""
        return Runs._make(part[step] for part in self)


class Talkspurts(Rows):
    """The talkspurt of each channel as it begins, goes on and ends; positions are frames of the call.

    A run of active frames, gaps of up to 200 ms included, is a candidate until it is 80 ms long, then a
    talkspurt. It is over when a gap exceeds 200 ms; it then ended with its last active frame.

    Attributes, all (rows, channels):
        running: a run is going on, a candidate or a talkspurt.
        confirmed: it is a talkspurt.
        start, last: first frame of the run, and the frame after its last active one.
        began, ended: a talkspurt was confirmed, or ended, in this step.
        first: start of the channel's first talkspurt, -1 before it.
        until: end of the channel's latest ended talkspurt, 0 before it.
        number: talkspurts confirmed so far.
        past: frames of all ended talkspurts.
    """

    def __init__(self, thresholds: TalkspurtThresholds) -> None:
        self._limits = thresholds
        self.running = flags(CHANNELS)
        self.confirmed = flags(CHANNELS)
        self.began = flags(CHANNELS)
        self.ended = flags(CHANNELS)
        self.start = counts(CHANNELS)
        self.last = counts(CHANNELS)
        self.first = counts(CHANNELS, initial=-1)
        self.until = counts(CHANNELS)
        self.number = counts(CHANNELS)
        self.past = counts(CHANNELS)
        self._resumed: tuple[Bools, Ints] | None = None  # what `resumed` says of this step, once it was asked

    def step(self, active: Bools, end: Ints, stepping: Bools) -> None:
        """Take one frame of each row: `active` (rows, channels); `end`, the frames so far, and `stepping`
        (rows, 1)."""
        self._resumed = None
        fresh = active & ~self.running
        self.start = np.where(fresh, end - 1, self.start)
        self.last = np.where(active, end, self.last)
        self.running = self.running | active
        self._end(stepping & self.running & (end - self.last > self._limits.bridge_frames))
        long_enough = self.last - self.start >= self._limits.shortest_frames
        self._confirm(stepping & self.running & ~self.confirmed & long_enough)

    def finish(self, rows: Bools) -> None:
        """End every run of the rows whose call is over; `rows` is (rows, 1)."""
        self._resumed = None
        self._end(rows & self.running)
        self._confirm(np.zeros_like(self.running))

    @property
    def runs(self) -> Runs:
        """As of this step; later ones leave it as it is."""
        return Runs(self.running, self.confirmed, self.ended, self.start, self.last, self.until)

    @property
    def talk(self) -> Ints:
        """Frames of all talkspurts so far, (rows, channels)."""
        present: Ints = self.past + np.where(self.confirmed, self.last - self.start, 0)
        return present

    def resumed(self) -> tuple[Bools, Ints]:
        """Whether somebody speaks again, and where that began; both (rows, 1).

        Not said while a candidate that began earlier may still become a talkspurt.
        """
        if self._resumed is None:
            latest = np.iinfo(np.int64).max
            onset = lower(np.where(self.confirmed, self.start, latest))
            earlier = self.running & ~self.confirmed & (self.start < onset)
            self._resumed = (onset < latest) & ~either(earlier), onset
        return self._resumed

    def _end(self, over: Bools) -> None:
        self.ended = over & self.confirmed
        self.until = np.where(self.ended, self.last, self.until)
        self.past += np.where(self.ended, self.last - self.start, 0)
        self.running = self.running & ~over
        self.confirmed = self.confirmed & ~over

    def _confirm(self, began: Bools) -> None:
        self.began = began
        self.confirmed = self.confirmed | began
        self.number += began
        np.copyto(self.first, self.start, where=began & (self.first < 0))
