"""The quality of a call: what its network tells, rated by the E-model, and how it sounds, judged over time."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

from analysis.emodel import BEST_MOS, CODECS, WORST_MOS, Line, codec_named, mos, rating, rating_of
from analysis.findings import CallQuality

_UNTOLD_CODEC = CODECS["pcmu"]  # what most telephony speaks
_PACKET_MS = 20.0  # that a packet and its codec take
_JITTER_BUFFER = 2.0  # mean jitters that a jitter buffer holds


@dataclass(frozen=True, slots=True)
class QualityThresholds:
    """When a call's quality is degraded: so many of the last windows are bad, as Twilio warns. It ends when none is.

    The sound must be worse by two of its errors than what a network tells: half a point each.
    """

    bad_mos: float = 3.0
    bad_sound_mos: float = 2.0
    windows: int = 5
    bad_windows: int = 3


@dataclass(frozen=True, slots=True)
class NetworkSample:
    """What a network says of one stream of a call over some seconds; None where it does not say.

    Attributes:
        channel: whose voice the stream carries; None: not told, so it counts for all.
        loss_pct: packets lost, 0..100 %.
        burst_r: how much burstier the losses were than at random, 1 or more (`emodel.burst_ratio`).
        jitter_ms: mean interarrival jitter.
        rtt_ms: round trip of a packet.
        mos: the sender's own score, 1..5; it counts only where nothing else is told.
        codec: its name as in SDP; unknown ones count as G.711 with concealment.
    """

    channel: str | None = None
    loss_pct: float | None = None
    burst_r: float = 1.0
    jitter_ms: float | None = None
    rtt_ms: float | None = None
    mos: float | None = None
    codec: str = ""

    @property
    def line(self) -> Line | None:
        """The line that the E-model is told of; None if nothing but a score is known.

        One way takes half of the round trip, a packet, and a jitter buffer of twice the mean jitter. Echo takes the
        same way; its loss is not known here and counts as G.107's default.
        """
        if self.loss_pct is None and self.jitter_ms is None and self.rtt_ms is None:
            return None
        codec = codec_named(self.codec) or _UNTOLD_CODEC
        delay_ms = (self.rtt_ms or 0.0) / 2 + _JITTER_BUFFER * (self.jitter_ms or 0.0) + _PACKET_MS
        spoilt = Line(ie=codec.ie, bpl=codec.bpl, ppl=self.loss_pct or 0.0, burst_r=self.burst_r)
        return replace(spoilt, t=delay_ms, ta=delay_ms, tr=2 * delay_ms)


def network_rating(sample: NetworkSample) -> float | None:
    """R by what the network says alone; None if it says nothing of quality."""
    if sample.line is not None:
        return rating(sample.line)
    if sample.mos is None:
        return None
    return rating_of(min(max(sample.mos, WORST_MOS), BEST_MOS))


class QualityJudge:
    """Follows one call from window to window: is its quality degraded?"""

    def __init__(self, thresholds: QualityThresholds | None = None) -> None:
        self._limits = thresholds or QualityThresholds()
        self._bad: deque[bool] = deque(maxlen=self._limits.windows)
        self.degraded = False

    def judge(
        self, samples: Iterable[NetworkSample | None], sound_mos: Iterable[float | None] = ()
    ) -> CallQuality | None:
        """The call's quality in one window, that of its worst channel, by what the network said last of each and how
        each sounds, 1..4.5; None if nothing is known."""
        channels = (self._rated(*known) for known in zip_longest(samples, sound_mos))
        rated = [channel for channel in channels if channel]
        if not rated:
            return None
        self._follow(any(channel.bad for channel in rated))
        worst = min(rated)
        return CallQuality(mos(worst.rating), min(max(worst.rating, 0.0), 100.0), self.degraded, worst.basis)

    def _rated(self, sample: NetworkSample | None, sound_mos: float | None) -> "_Rated | None":
        """A channel by what is known of it, the worse of both: the sound tells what a microphone, a noise or a codec
        does; the network what is filled so well that it cannot be heard, and what comes late."""
        told = network_rating(sample) if sample else None
        badly_told = told is not None and mos(told) < self._limits.bad_mos
        if sound_mos is None:
            return None if told is None else _Rated(told, "network", badly_told)
        heard, bad = rating_of(sound_mos), badly_told or sound_mos < self._limits.bad_sound_mos
        return _Rated(heard, "signal", bad) if told is None else _Rated(min(told, heard), "both", bad)

    def _follow(self, bad: bool) -> None:
        self._bad.append(bad)
        if sum(self._bad) >= self._limits.bad_windows:
            self.degraded = True
        elif len(self._bad) == self._limits.windows and not any(self._bad):
            self.degraded = False


class _Rated(NamedTuple):
    """A channel's R, what it was judged by, and whether that is bad."""

    rating: float
    basis: str
    bad: bool
