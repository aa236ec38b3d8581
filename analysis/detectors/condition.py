"""Conditions: anomalies that are judged each second, with hysteresis and a confidence."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.detectors.lives import Account, AnomalyLives, Desk
from analysis.features import FRAMES_PER_S
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Bools, Floats, Ints, Rows, counts, some, values


class Condition(AnomalyLives):
    """An anomaly that opens when its condition has held for some seconds and ends when it has been better for some.

    A second is bad, better, or neither: then an open anomaly goes on and no new one begins. Seconds that
    cannot be judged are left out and change nothing; so are those in a wrong format, unless the condition
    is `of_format` itself, so that one fault is one finding. It begins with the first second that held and ends
    with the last one that was not better.

    Attributes:
        worst: (rows, width), the greatest measure of the seconds that held since it began.
    """

    def __init__(
        self,
        desk: Desk,
        type: str,
        width: int,
        account: Callable[[int, int], Account],
        *,
        opens_after_s: int = 1,
        ends_after_s: int,
        of_format: bool = False,
    ) -> None:
        super().__init__(desk, type, width, account)
        self._opens_after_s, self._ends_after_s, self._of_format = opens_after_s, ends_after_s, of_format
        self.worst = values(width)
        self.held = counts(width)  # bad seconds in a row
        self.since = counts(width)  # where the first of them began
        self.calm = counts(width)  # better seconds in a row
        self.until = counts(width)  # end of the last second that was not better

    def judge(
        self, rows: Ints, judged: Bools, bad: Bools, better: Bools, measure: Floats, rank: Ints, now: Moment
    ) -> None:
        """Judge the second that ends now in `rows` (k,); all else is (k, width), `measure` greater when worse."""
        if not self._of_format:
            readable = now.readable[rows]
            judged = judged & (readable.all(axis=1, keepdims=True) if self._shared else readable)
        bad, better = bad & judged, better & judged & ~bad
        if not (some(bad) or some(self.held[rows]) or some(self.open[rows])):
            return
        self._desk.end = now.end
        end = now.end[rows]
        fresh = bad & (self.held[rows] == 0)
        self.since[rows] = np.where(fresh, end - FRAMES_PER_S, self.since[rows])
        known = np.where(fresh & ~self.open[rows], measure, np.maximum(self.worst[rows], measure))
        self.worst[rows] = np.where(bad, known, self.worst[rows])
        self.held[rows] = np.where(judged, np.where(bad, self.held[rows] + 1, 0), self.held[rows])
        self.calm[rows] = np.where(judged, np.where(better, self.calm[rows] + 1, 0), self.calm[rows])
        self.until[rows] = np.where(judged & ~better, end, self.until[rows])
        self._turn(rows, bad, rank, now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over; what was not better at last has lasted to their end."""
        self.close(now.stepping, np.where(self.calm == 0, now.end, self.until))

    def _turn(self, rows: Ints, bad: Bools, rank: Ints, now: Moment) -> None:
        """Open, raise and close."""
        opens = bad & ~self.open[rows] & (self.held[rows] >= self._opens_after_s)
        raised = bad & self.open[rows] & (rank > self.rank[rows])
        closes = self.open[rows] & (self.calm[rows] >= self._ends_after_s)
        if some(opens) or some(raised):
            ranks = self._spread(rows, rank)
            self.grow(self._spread(rows, raised), now.end, ranks)
            self.begin(self._spread(rows, opens), self.since, now.end, ranks, now)
        if some(closes):
            self.close(self._spread(rows, closes), self.until)

    def _spread(self, rows: Ints, some: NDArray[Any]) -> NDArray[Any]:
        """`some` (k, width) in their rows of an array for all calls."""
        everywhere = np.zeros(self.open.shape, dtype=some.dtype)
        everywhere[rows] = some
        return everywhere


class EverySecond(Rows):
    """A detector of one condition on each channel, which it judges at the end of each second."""

    def __init__(self, desk: Desk, type: str, *, opens_after_s: int = 1, ends_after_s: int) -> None:
        self.condition = Condition(
            desk, type, CHANNELS, self.account, opens_after_s=opens_after_s, ends_after_s=ends_after_s
        )
        self.rows: tuple[Rows, ...] = (self, self.condition)

    def hear(self, passage: Passage) -> None:
        """Judge the next frames of every call."""
        if passage.second.seconds.size:
            self.judge(passage.second)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over."""
        self.condition.finish(now)

    def judge(self, now: Moment) -> None:
        """Judge the second that ends now in the rows `now.seconds`."""
        raise NotImplementedError

    def account(self, row: int, place: int) -> Account:
        """What is to be said of a channel."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Logistic:
    """How likely a finding is true, from how far beyond its limit the measure was.

    The curve 1 / (1 + e^-(offset + slope · margin)). Those of noise and volume were fitted on generated calls by
    `training/confidence.py`. Where nobody was heard for too long 11 of 50 findings of `benchmarks.accuracy` were wrong,
    none of them in its clean hour. Of the other anomalies hardly any was; their curves begin at .9.
    """

    offset: float
    slope: float

    def __call__(self, margin: float) -> float:
        """Probability, in hundredths, never quite 0 or 1."""
        likelihood = 1.0 / (1.0 + exp(-(self.offset + self.slope * margin)))
        return round(min(max(likelihood, 0.01), 0.99), 2)
