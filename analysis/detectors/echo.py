"""Echo: a channel returns what is said on the other."""

from dataclasses import dataclass
from math import exp

import numpy as np

from analysis.detectors.lives import Account, AnomalyLives, Desk, rank_by
from analysis.echo import HOP_MS
from analysis.features import FRAMES_PER_S
from analysis.moment import Moment
from analysis.rows import CHANNELS, Rows, counts, some, values

_LIKELY_SCORE = 5.0  # at which an echo is as likely true as not; below, none is told
_SURER_PER_SCORE = 2.0


@dataclass(frozen=True, slots=True)
class EchoGrades:
    """Echo return losses in dB below which an echo counts, and is worse."""

    low_db: float = 30.0
    medium_db: float = 20.0
    high_db: float = 12.0


class EchoAnomaly(Rows):
    """Says each second which channel returns the other one, how late and how much weaker.

    It begins with the first second in which it is likely, and ends with the last 200 ms that showed the echo before
    20 s of the other's speech without it.
    """

    def __init__(self, desk: Desk, grades: EchoGrades) -> None:
        self._desk, self._grades = desk, grades
        self.lives = AnomalyLives(desk, "echo", CHANNELS, self._account)
        self.score = values(CHANNELS)  # the highest since it began
        self.lag = counts(CHANNELS)
        self.erl_db = values(CHANNELS)
        self.rows = (self, self.lives)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call: each second counts."""
        if not now.seconds.size:
            return
        second = now.stepping & (now.end % FRAMES_PER_S == 0)
        if not some(second & (now.echo.found | self.lives.open)):
            return
        echo = now.echo
        self.lives.close(second & ~echo.found, np.maximum(echo.shown, self.lives.onset))
        worth_telling = (echo.erl_db < self._grades.low_db) & (echo.score >= _LIKELY_SCORE)
        holds = second & echo.found & (self.lives.open | worth_telling)
        measured = holds & (echo.plain | ~self.lives.open)
        for known, latest in ((self.lag, echo.lag), (self.erl_db, echo.erl_db)):
            np.copyto(known, latest, where=measured)
        np.copyto(self.score, np.where(self.lives.open, np.maximum(self.score, echo.score), echo.score), where=holds)
        rank = rank_by(-self.erl_db, -self._grades.medium_db, -self._grades.high_db)
        self.lives.grow(holds, now.end, rank)
        self.lives.begin(holds & ~self.lives.open, now.end - FRAMES_PER_S, now.end, rank, now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over, and their echoes with them."""
        self.lives.close(now.stepping, now.end)

    def _account(self, row: int, place: int) -> Account:
        names = self._desk.names[row]
        channel, far = names[place], names[1 - place]
        delay_ms = int(self.lag[row, place]) * HOP_MS
        erl_db = round(float(self.erl_db[row, place]), 1)
        likelihood = 1.0 / (1.0 + exp(-_SURER_PER_SCORE * (self.score[row, place] - _LIKELY_SCORE)))
        return Account(
            confidence=round(min(likelihood, 0.99), 2),
            description=(
                f"What {far} says comes back on the line of {channel}, {delay_ms} ms later and {erl_db:g} dB weaker."
            ),
            recommendation=(
                f"Have {channel} use a headset or turn down the loudspeaker; "
                "if others on that line have it too, switch on echo cancellation in its gateway."
            ),
            metadata={"delayMs": delay_ms, "erlDb": erl_db},
        )
