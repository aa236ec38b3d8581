"""Excessive silence: nobody talks for most of a minute."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.condition import Condition, Logistic
from analysis.detectors.lives import MEDIUM, Account, Desk
from analysis.features import FRAMES_PER_S
from analysis.moment import Moment
from analysis.rows import Rows, both, counts, either

_WINDOW_S = 60
_CONFIDENCE = Logistic(offset=2.1, slope=0.0)  # .89, however far beyond the limit


@dataclass(frozen=True, slots=True)
class ExcessiveSilenceThresholds:
    """Shares of a full window of 60 s in which nobody talks, percent."""

    medium_percent: int = 50
    high_percent: int = 75
    over_percent: int = 40


class ExcessiveSilence(Rows):
    """Finds minutes in which nobody talks for more than half of the time.

    Talk is the talkspurts of both parties; where they overlap it counts once. One record for the call. Minutes with
    a channel in a wrong format are not judged: who talked in them is not known.
    """

    def __init__(self, desk: Desk, thresholds: ExcessiveSilenceThresholds) -> None:
        self._limits = thresholds
        self.condition = Condition(desk, "excessive_silence", 1, self._account, ends_after_s=1)
        self.talk = counts(_WINDOW_S)  # frames of talk in each of the last 60 s
        self.before = counts(1)  # frames of all talkspurts at the start of this second
        self.both = counts(1)  # frames of this second in which both talk
        self.known_from = counts(1)  # the second since which no channel has been in a wrong format
        self.rows = (self, self.condition)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        self.both += now.stepping & both(now.spurts.confirmed)
        if now.seconds.size:
            self._judge(now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over, and their silences with them."""
        self.condition.finish(now)

    def _judge(self, now: Moment) -> None:
        rows = now.seconds
        talk = now.spurts.talk[rows].sum(axis=1)
        second = now.end[rows, 0] // FRAMES_PER_S
        # a talkspurt is known 80 ms after its start, so a second may seem to have more talk than it can hold
        self.talk[rows, second % _WINDOW_S] = talk - self.before[rows, 0] - self.both[rows, 0]
        self.before[rows, 0], self.both[rows, 0] = talk, 0
        spoken = self.talk[rows].sum(axis=1, keepdims=True)
        silent_percent = 100.0 - spoken * (100 / (_WINDOW_S * FRAMES_PER_S))
        misread = either(now.misread[rows])
        self.known_from[rows] = np.where(misread, second[:, None], self.known_from[rows])
        full = second[:, None] - self.known_from[rows] >= _WINDOW_S
        limits = self._limits
        rank = MEDIUM + (silent_percent > limits.high_percent)
        bad, better = silent_percent > limits.medium_percent, silent_percent < limits.over_percent
        self.condition.judge(rows, full, bad, better, silent_percent, rank, now)

    def _account(self, row: int, place: int) -> Account:
        percent = float(self.condition.worst[row, place])
        return Account(
            _CONFIDENCE(percent - self._limits.medium_percent),
            f"Nobody talked for {percent:.0f} % of a minute.",
            "Check that both parties hear each other, and why the call waits: a long look-up, hold, a lost party.",
            {"silentPercent": round(percent)},
        )
