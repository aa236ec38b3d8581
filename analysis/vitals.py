"""How one call is: its quality and its mood, from all that is told of them, window by window."""

from collections.abc import Sequence

from analysis.findings import AnalysisResult
from analysis.quality import NetworkSample, QualityJudge
from analysis.sentiment import Mood, Segment

WINDOW_MS = 5000
"""Media time from one result to the next."""

_TOLD_FOR_WINDOWS = 3  # that a network's sample counts without a newer one


class Vitals:
    """Gathers what is told of a call between windows, and judges it at the end of each.

    `channels` are the names of the call's channels, in order. What is told takes effect in the window that is
    judged next.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self._judge = QualityJudge()
        self._mood = Mood()
        self._judged_ms = 0
        self._samples: list[tuple[NetworkSample, int] | None] = [None] * len(self._channels)

    def tell(self, told: NetworkSample | Segment) -> None:
        """Something else than sound: what the network says, or words.

        Raises:
            ValueError: the sample's channel is none of the call's, or a sentiment is unknown.
        """
        if isinstance(told, Segment):
            self._mood.take(told)
        elif told.channel is None:
            self._samples = [(told, _TOLD_FOR_WINDOWS)] * len(self._channels)
        elif told.channel in self._channels:
            self._samples[self._channels.index(told.channel)] = (told, _TOLD_FOR_WINDOWS)
        else:
            raise ValueError(f"channel {told.channel!r}: the call has {', '.join(self._channels)}")

    def judge_until(self, now_ms: int, sound_mos: Sequence[float | None] = ()) -> list[AnalysisResult]:
        """The results of the windows that end by `now_ms` of media time and have not been judged yet.

        `sound_mos`: how each channel sounded in the last of them, 1..4.5; None: there was too little to hear.
        """
        ends = range(self._judged_ms + WINDOW_MS, now_ms + 1, WINDOW_MS)
        self._judged_ms += WINDOW_MS * len(ends)
        return [self._judge_window(end, sound_mos) for end in ends]

    def _judge_window(self, end_ms: int, sound_mos: Sequence[float | None]) -> AnalysisResult:
        quality = self._judge.judge((told[0] if told else None for told in self._samples), sound_mos)
        self._samples = [(told[0], told[1] - 1) if told and told[1] > 1 else None for told in self._samples]
        return AnalysisResult(end_ms, quality, self._mood.sentiment)
