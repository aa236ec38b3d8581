"""Speaker change in a mono call: after a pause somebody else speaks, told by the spectrum of the voice."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.detectors.lives import INFO, SEVERITIES, Desk
from analysis.features import FRAME_MS, FRAMES_PER_S
from analysis.findings import CallEvent, State
from analysis.moment import Moment
from analysis.rows import Floats, Ints, Rows, some, values
from analysis.spectrum import BANDS

_CEPSTRA = 12
_SCALE = 8  # weights are whole multiples of 1/8, so that sums and products are exact in any order
_WEIGHTS = np.rint(_SCALE * np.cos(np.pi * (np.arange(BANDS)[:, None] + 0.5) * np.arange(1, _CEPSTRA + 1) / BANDS))
_PARAMETERS = _CEPSTRA + _CEPSTRA * (_CEPSTRA + 1) / 2  # of a normal distribution: mean and covariance
_SUMS = 1 + _CEPSTRA + _CEPSTRA**2


@dataclass(frozen=True, slots=True)
class VoiceChangeThresholds:
    """Lengths in frames of 20 ms of speech.

    Attributes:
        shortest_frames: on each side of a change.
        judged_frames: that follow a pause when it is judged; the pauses among them compete with it.
        remembered_frames: of the present speaker; when there are more, all count half.
        penalty: weight of the criterion's penalty; 1 is the theory's.
    """

    shortest_frames: int = 2 * FRAMES_PER_S
    judged_frames: int = 3 * FRAMES_PER_S
    remembered_frames: int = 60 * FRAMES_PER_S
    penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some speech: where it was, frames of the call, and sums over its frames, (1 + cepstra + cepstra²,).

    The sums are of 1, of the cepstra, and of their products: enough for mean and covariance.
    """

    start: int
    end: int
    sums: Floats

    @property
    def frames(self) -> int:
        """How many frames of speech it has."""
        return int(self.sums[0])

    def joined(self, later: "Stretch") -> "Stretch":
        """Both as one."""
        return Stretch(self.start, later.end, self.sums + later.sums)

    def spread(self) -> float:
        """Frames times the logarithm of the determinant of the covariance of its cepstra."""
        mean = self.sums[1 : 1 + _CEPSTRA] / self.sums[0]
        products = self.sums[1 + _CEPSTRA :].reshape(_CEPSTRA, _CEPSTRA) / self.sums[0]
        covariance = products - np.outer(mean, mean) + np.eye(_CEPSTRA)  # of a constant sound, too
        return float(self.sums[0] * np.linalg.slogdet(covariance)[1])


@dataclass(slots=True)
class _Memory:
    """What is kept of a mono call."""

    speaker: Stretch | None = None
    pending: list[Stretch] = field(default_factory=list)  # talkspurts whose speaker is not decided yet


class VoiceChange(Rows):
    """Finds pauses after which another voice goes on, 2 s or more of speech on each side.

    A voice is a normal distribution of 12 cepstra of its active frames, from bands as wide as the ear's. Two
    stretches are two voices if two distributions describe them better than one by more than their parameters
    cost: the Bayesian information criterion (S. Chen and P. Gopalakrishnan, *Speaker, environment and channel
    change detection and clustering via the BIC*, 1998). A pause is judged when 3 s of speech have followed
    it, against the pauses among those; the change is where the gain is highest.
    """

    def __init__(self, desk: Desk, thresholds: VoiceChangeThresholds) -> None:
        self._desk, self._limits = desk, thresholds
        self.sums = values(_SUMS)  # over the present run of speech
        self._memories: dict[int, _Memory] = {}
        self.rows = (self,)

    def restart(self, row: int) -> None:
        super().restart(row)
        self._memories.pop(row, None)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        mono = now.stepping & ~now.two
        if not some(mono):
            return
        rows = np.flatnonzero(mono[:, 0] & now.active[:, 0])
        if len(rows):
            self._learn(rows, now)
        for row in np.flatnonzero(mono[:, 0] & now.spurts.ended[:, 0]).tolist():
            self._take(row, now)
            self._decide(row, now, self._limits.judged_frames)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over: decide by what there is."""
        for row in np.flatnonzero(now.stepping & ~now.two).tolist():
            if now.spurts.ended[row, 0]:
                self._take(row, now)
            self._decide(row, now, self._limits.shortest_frames)

    def _learn(self, rows: Ints, now: Moment) -> None:
        fresh = rows[now.spurts.start[rows, 0] == now.end[rows, 0] - 1]
        self.sums[fresh] = 0.0
        cepstra = now.frame.bands[rows, 0].sum(axis=1) @ _WEIGHTS
        products = (cepstra[:, :, None] * cepstra[:, None, :]).reshape(len(rows), -1)
        self.sums[rows] += np.concatenate([np.ones((len(rows), 1)), cepstra, products], axis=1)

    def _take(self, row: int, now: Moment) -> None:
        """A talkspurt has ended: its speaker is to be decided."""
        stretch = Stretch(int(now.spurts.start[row, 0]), int(now.spurts.until[row, 0]), self.sums[row].copy())
        self._memories.setdefault(row, _Memory()).pending.append(stretch)

    def _decide(self, row: int, now: Moment, judged_frames: int) -> None:
        """Decide about the talkspurts that are followed by enough speech, in order."""
        memory = self._memories.setdefault(row, _Memory())
        while memory.pending and sum(stretch.frames for stretch in memory.pending) >= judged_frames:
            first = memory.pending.pop(0)
            if memory.speaker is None:
                memory.speaker = first
            elif self._changes(memory.speaker, [first, *memory.pending]):
                self._hand_in(row, first, now)
                memory.speaker = first
            else:
                memory.speaker = self._remembered(memory.speaker.joined(first))

    def _changes(self, speaker: Stretch, following: Sequence[Stretch]) -> bool:
        """Whether another voice begins with the first of these, rather than later or not at all."""
        gains = []
        for number, stretch in enumerate(following):
            gains.append(self._gain(speaker, following[number:]))
            speaker = speaker.joined(stretch)
        return gains[0] > max([0.0, *gains[1:]])

    def _gain(self, before: Stretch, following: Sequence[Stretch]) -> float:
        """By how much two voices describe these stretches better than one; 0 if a side is too short."""
        after = following[0]
        for stretch in following[1:]:
            if after.frames < self._limits.judged_frames:
                after = after.joined(stretch)
        if min(before.frames, after.frames) < self._limits.shortest_frames:
            return 0.0
        both = before.joined(after)
        gain = (both.spread() - before.spread() - after.spread()) / 2
        return gain - self._limits.penalty * _PARAMETERS / 2 * float(np.log(both.frames))

    def _remembered(self, speaker: Stretch) -> Stretch:
        if speaker.frames <= self._limits.remembered_frames:
            return speaker
        return Stretch(speaker.start, speaker.end, speaker.sums / 2)

    def _hand_in(self, row: int, stretch: Stretch, now: Moment) -> None:
        event = CallEvent(
            type="speaker_change",
            channel=self._desk.names[row][0],
            timestamp=stretch.start * FRAME_MS,
            duration=(stretch.end - stretch.start) * FRAME_MS,
            severity=SEVERITIES[INFO],
            detected_at=int(now.known[row, 0]) * FRAME_MS,
        )
        self._desk.hand_in(row, State.OPENED, event)
        self._desk.hand_in(row, State.CLOSED, event)
