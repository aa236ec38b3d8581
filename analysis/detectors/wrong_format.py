"""Wrong format: audio that is decoded as something else than it is."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.condition import Condition, Logistic
from analysis.detectors.lives import HIGH, Account, Desk
from analysis.features import FRAMES_PER_S
from analysis.misreading import Misreading
from analysis.moment import Moment
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, some

_SMOOTH_TILT = 0.75
_SOUND_DBOV = -50.0
_CONFIDENCE = Logistic(offset=2.2, slope=0.1)  # margin: frames of a second beyond the limit

_READ_AS = {
    Misreading.MULAW_AS_LINEAR16: ("µ-law", "16-bit PCM"),
    Misreading.ALAW_AS_LINEAR16: ("A-law", "16-bit PCM"),
    Misreading.SWAPPED_BYTES: ("16-bit PCM of the other byte order or cut at an odd byte", "16-bit PCM"),
    Misreading.LINEAR16_AS_MULAW: ("16-bit PCM", "µ-law"),
    Misreading.LINEAR16_AS_ALAW: ("16-bit PCM", "A-law"),
    Misreading.ALAW_AS_MULAW: ("A-law", "µ-law"),
    Misreading.MULAW_AS_ALAW: ("µ-law", "A-law"),
    Misreading.NO_AUDIO: ("compressed, encrypted or no audio", "audio"),
}


@dataclass(frozen=True, slots=True)
class WrongFormatThresholds:
    """Frames of a second that look misread in the same way."""

    least_frames: int = FRAMES_PER_S // 5
    ends_after_s: int = 3


class WrongFormat(Rows):
    """Finds channels whose bytes make sense in another format only: see `analysis.misreading`.

    While one is open, what the channel carries is neither speech nor noise, so that one fault is one finding.

    Attributes:
        open: (rows, channels), the channel is in a wrong format.
        since: (rows, channels), from which frame on, where it is.
    """

    def __init__(self, desk: Desk, thresholds: WrongFormatThresholds) -> None:
        self._limits = thresholds
        self.condition = Condition(
            desk, "wrong_format", CHANNELS, self._account, ends_after_s=thresholds.ends_after_s, of_format=True
        )
        self.seen = counts(CHANNELS, len(Misreading))  # frames of this second by what they look like
        self.fine = counts(CHANNELS)  # frames of this second that are smooth sound, as no misread ones are
        self.likely = counts(CHANNELS)  # the misreading of the second that has most frames of it
        self.rows = (self, self.condition)

    @property
    def open(self) -> Bools:
        return self.condition.open

    @property
    def since(self) -> Ints:
        return self.condition.onset

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        misread = now.frame.waveform["misread"]
        seen = now.heard & (misread > 0)
        if some(seen):
            rows, channels = np.nonzero(seen)
            self.seen[rows, channels, misread[rows, channels]] += 1
        frame = now.frame
        self.fine += now.heard & (frame.tilt >= _SMOOTH_TILT) & (frame.level_dbov >= _SOUND_DBOV)
        if now.seconds.size:
            self._judge(now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over."""
        self.condition.finish(now)

    def _judge(self, now: Moment) -> None:
        rows = now.seconds
        seen, fine = self.seen[rows], self.fine[rows] >= self._limits.least_frames
        self.fine[rows] = 0
        if not (some(seen) or some(self.condition.open[rows])):
            return
        explained = seen[:, :, : Misreading.NO_AUDIO].max(axis=2) >= self._limits.least_frames
        seen[:, :, Misreading.NO_AUDIO] *= ~explained  # a format that fits some frames explains the others, too
        most = seen.max(axis=2)
        better = fine & (most == 0)  # a pause tells nothing
        bad = most >= self._limits.least_frames
        self.likely[rows] = np.where(bad, seen.argmax(axis=2), self.likely[rows])
        self.seen[rows] = 0
        rank = np.full(most.shape, HIGH)
        self.condition.judge(rows, now.present[rows], bad, better, most.astype(np.float64), rank, now)

    def _account(self, row: int, place: int) -> Account:
        is_, read_as = _READ_AS[Misreading(int(self.likely[row, place]))]
        margin = float(self.condition.worst[row, place]) - self._limits.least_frames
        return Account(
            _CONFIDENCE(margin),
            f"The audio is noise at full scale: it looks like {is_} that is read as {read_as}.",
            f"Set the stream's encoding to what is sent ({is_}), or change the sender to {read_as}.",
            {"looksLike": is_, "readAs": read_as},
        )
