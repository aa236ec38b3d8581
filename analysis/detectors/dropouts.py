"""Dropouts: packets that were lost on the way, heard as holes or as stutter."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log2
from typing import NamedTuple

import numpy as np

from analysis.detectors.condition import EverySecond, Logistic
from analysis.detectors.lives import Account, Desk, rank_by
from analysis.features import FRAME_MS, FRAMES_PER_S
from analysis.levels import Levels
from analysis.losses import Holes, LossThresholds, Repeats, Stretches
from analysis.moment import Moment, Passage
from analysis.rows import CHANNELS, Bools, Ints, counts, flags
from analysis.waveform import UNITS_PER_MS

_WINDOW_S = 60
_WINDOW_MS = 1000 * _WINDOW_S
_CONFIDENCE = Logistic(offset=2.2, slope=0.6)  # margin: octaves beyond the limit
_LISTED = 1000  # an anomaly tells of so many losses, the latest


@dataclass(frozen=True, slots=True)
class DropoutThresholds:
    """Lost time of the last minute, ms; and what is taken for a loss."""

    low_ms: int = 40
    medium_ms: int = 300
    high_ms: int = 1000
    ends_after_s: int = 30
    losses: LossThresholds = field(default_factory=LossThresholds)


class _Loss(NamedTuple):
    """A stretch of a call, ms; a hole may be of other making."""

    start_ms: int
    end_ms: int
    hole: bool


class _Losses:
    """Losses of a channel in the order of their ends, the latest 1,000; 24 bytes each, as a bad line has hundreds an
    hour."""

    def __init__(self) -> None:
        self._numbers = array("q")  # start_ms, end_ms and hole of each

    def __iter__(self) -> Iterator[_Loss]:
        each = iter(self._numbers)
        for start_ms, end_ms, hole in zip(each, each, each, strict=True):
            yield _Loss(start_ms, end_ms, bool(hole))

    def append(self, loss: _Loss) -> None:
        """Take the next one; if there are too many, forget the first."""
        self._numbers.extend(loss)
        del self._numbers[: -3 * _LISTED]

    def forget(self, until_ms: int) -> None:
        """Forget those that ended by then."""
        while self._numbers and self._numbers[1] <= until_ms:
            del self._numbers[:3]


class Dropouts(EverySecond):
    """Finds channels that lost 40 ms or more within a minute: see `analysis.losses`.

    A channel that falls silent by itself, as one behind a noise gate does, has holes of any length; or none
    amid speech and no background between them. So holes count only while no more than a third of the last
    minute's holes are odd, and one in twenty others begins amid speech or they take less than half the time
    in which the background is heard.
    """

    def __init__(self, desk: Desk, thresholds: DropoutThresholds, levels: Levels) -> None:
        self._limits, self._levels = thresholds, levels
        super().__init__(desk, "dropouts", ends_after_s=thresholds.ends_after_s)
        self._holes, self._repeats = Holes(thresholds.losses, levels), Repeats(thresholds.losses)
        self._losses: dict[tuple[int, int], _Losses] = {}  # of the anomaly, or of the last minute without one
        self.sure_ms = counts(CHANNELS, _WINDOW_S)  # of each second of the last minute: what was lost for sure,
        self.hole_ms = counts(CHANNELS, _WINDOW_S)  # what holes took,
        self.holes = counts(CHANNELS, _WINDOW_S)  # how many there were,
        self.amid = counts(CHANNELS, _WINDOW_S)  # how many of them amid speech,
        self.odd = counts(CHANNELS, _WINDOW_S)  # and odd ones
        self.trusted = flags(CHANNELS)  # holes are lost packets
        self.rows = (*self.rows, self._holes, self._repeats)

    def restart(self, row: int) -> None:
        super().restart(row)
        for place in range(CHANNELS):
            self._losses.pop((row, place), None)

    def hear(self, passage: Passage) -> None:
        """See `EverySecond`."""
        found = [found for found in (self._holes.hear(passage), self._repeats.hear(passage)) if found]
        stretches = Stretches.joined(found)
        stretches = stretches.within(stretches.sure | stretches.hole | stretches.odd)
        ending = passage.ending[stretches.step, stretches.row, 0]
        self._take(stretches.within(ending), passage.end)
        super().hear(passage)
        self._take(stretches.within(~ending), passage.end)

    def _take(self, stretches: Stretches, end: Ints) -> None:
        """Take what ended in frames, whose own ends in the call are `end` (steps, rows, 1), in order."""
        in_order = stretches.within(np.argsort(stretches.step, kind="stable"))
        for step, row, place, _, hole, amid, odd, start, until in zip(
            *(part.tolist() for part in in_order), strict=True
        ):
            slot = (int(end[step, row, 0]) - 1) // FRAMES_PER_S % _WINDOW_S
            self.odd[row, place, slot] += odd
            self.holes[row, place, slot] += hole
            self.amid[row, place, slot] += amid
            if odd:
                continue
            start_ms, end_ms = round(start / UNITS_PER_MS), round(until / UNITS_PER_MS)
            (self.hole_ms if hole else self.sure_ms)[row, place, slot] += end_ms - start_ms
            self._remember(row, place, _Loss(start_ms, end_ms, hole))

    def _remember(self, row: int, place: int, loss: _Loss) -> None:
        losses = self._losses.setdefault((row, place), _Losses())
        losses.append(loss)
        if not self.condition.open[row, place]:
            losses.forget(loss.end_ms - _WINDOW_MS)

    def judge(self, now: Moment) -> None:
        """See `EverySecond`."""
        rows, limits = now.seconds, self._limits
        second = now.end[rows, 0] // FRAMES_PER_S
        was_open = self.condition.open[rows]
        trusted = self._trust(rows, second) | (was_open & self.trusted[rows])
        self.trusted[rows] = trusted
        lost_ms = self.sure_ms[rows] + self.hole_ms[rows] * trusted[:, :, None]
        minute_ms, latest_ms = lost_ms.sum(axis=2), lost_ms[np.arange(len(rows)), :, (second - 1) % _WINDOW_S]
        bad, better = (latest_ms > 0) & (minute_ms >= limits.low_ms), latest_ms == 0
        rank = rank_by(minute_ms, limits.medium_ms, limits.high_ms)
        self.condition.judge(rows, now.present[rows], bad, better, minute_ms.astype(np.float64), rank, now)
        for index, place in np.argwhere(was_open & ~self.condition.open[rows]).tolist():
            del self._losses[int(rows[index]), place]
        for kept in (self.sure_ms, self.hole_ms, self.holes, self.amid, self.odd):
            kept[rows, :, second % _WINDOW_S] = 0

    def _trust(self, rows: Ints, second: Ints) -> Bools:
        """Whether holes are lost packets, (k, channels)."""
        holes, amid, odd = (kept[rows].sum(axis=2) for kept in (self.holes, self.amid, self.odd))
        background_ms = self._levels.background(rows, second, 0, _WINDOW_S)[-1] * FRAME_MS
        trusted: Bools = (2 * odd <= holes) & (
            (20 * amid >= holes) | (background_ms >= 2 * self.hole_ms[rows].sum(axis=2))
        )
        return trusted

    def account(self, row: int, place: int) -> Account:
        """See `EverySecond`."""
        losses = [loss for loss in self._losses[row, place] if self.trusted[row, place] or not loss.hole]
        lost_ms = sum(loss.end_ms - loss.start_ms for loss in losses)
        worst_ms = float(self.condition.worst[row, place])
        return Account(
            _CONFIDENCE(log2(worst_ms / self._limits.low_ms)),
            f"The voice breaks up: {len(losses)} gap(s), {lost_ms} ms in all.",
            "Check the network between this party and us for lost packets; prefer a cable to Wi-Fi.",
            {
                "count": len(losses),
                "lostMs": lost_ms,
                "intervals": [[loss.start_ms, loss.end_ms] for loss in losses],
            },
        )
