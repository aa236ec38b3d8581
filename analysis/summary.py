"""What a call was like as a whole: collected while it is heard, told in a few sentences when it is over."""

from collections import Counter
from typing import Any

from analysis.bank import CallStats
from analysis.findings import AnalysisResult, Anomaly, CallEvent, Finding, Heard, State

NAMES = {
    "overlap": ("overlap", "overlaps"),
    "interrupt": ("interruption", "interruptions"),
    "long_pause": ("long pause", "long pauses"),
    "silence": ("silence", "silences"),
    "volume_spike": ("volume spike", "volume spikes"),
    "speaker_change": ("change of speaker", "changes of speaker"),
    "background_noise": ("background noise", "background noises"),
    "echo": ("echo", "echoes"),
    "distortion": ("distortion", "distortions"),
    "dropouts": ("series of dropouts", "series of dropouts"),
    "excessive_silence": ("excessive silence", "excessive silences"),
    "volume_inconsistency": ("uneven volume", "uneven volumes"),
    "wrong_format": ("wrong format", "wrong formats"),
}
"""What each type of finding is called, one and many of them."""

_UNTOLD = frozenset({"speaker_change"})  # every conversation is made of them
_WEIGHTS = {"info": 0, "low": 1, "medium": 3, "high": 6, "critical": 10}
_MINUTE_MS = 60_000
_SCORES = ((4.0, "good"), (3.6, "fair"), (3.1, "poor"), (0.0, "bad"))  # G.107, table B.1, two grades in one


class CallSummary:
    """Collects what is found in one call; small, however long the call is."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.anomalies: Counter[str] = Counter()
        self._interrupters: Counter[str] = Counter()
        self._pauses_ms = 0
        self._longest_pause_ms = 0
        self._burden: Counter[int] = Counter()  # by minute, weighed by severity
        self._moods: Counter[str] = Counter()
        self._scored, self._scores = 0, 0  # windows, and the sum of their MOS in hundredths

    def take(self, finding: Finding) -> None:
        """One step of a finding; only its end counts, when all is known of it."""
        if finding.state is not State.CLOSED:
            return
        heard = finding.event
        self._burden[heard.timestamp // _MINUTE_MS] += _WEIGHTS[heard.severity]
        if isinstance(heard, Anomaly):
            self.anomalies[heard.type] += 1
        else:
            self._take_event(heard)

    def _take_event(self, event: CallEvent) -> None:
        self.events[event.type] += 1
        if event.type == "interrupt":
            self._interrupters[event.metadata["by"]] += 1
        elif event.type == "long_pause":
            self._pauses_ms += event.duration
            self._longest_pause_ms = max(self._longest_pause_ms, event.duration)

    def take_result(self, result: AnalysisResult) -> None:
        """How the call is at a time."""
        if result.quality:
            self._scored += 1
            self._scores += int(100 * result.quality.mos_score)  # rounded down, as it is told
        if result.sentiment and result.sentiment.basis != "prosody":
            self._moods[result.sentiment.sentiment] += 1

    @property
    def mos_score(self) -> float | None:
        """Mean of the windows' scores, 1..4.5, two decimals rounded down; None where none was judged."""
        return self._scores // self._scored / 100 if self._scored else None

    def text(self, stats: CallStats) -> str:
        """Two or three sentences for a supervisor: who spoke how much, what happened, how it sounded."""
        return " ".join(filter(None, (self._talk(stats), self._happenings(stats), self._sound_and_mood())))

    def record(self, stats: CallStats) -> dict[str, Any]:
        """The summary as one JSON object of `python -m analysis --json`."""
        return {
            "record": "summary",
            "summary": self.text(stats),
            "talkMs": dict(stats.talk_ms),
            "events": dict(self.events),
            "anomalies": dict(self.anomalies),
            "mosScore": self.mos_score,
        }

    def _talk(self, stats: CallStats) -> str:
        spoken = [f"{name} spoke {share(ms, stats.heard_ms)}" for name, ms in stats.talk_ms.items()]
        return f"A call of {clock(stats.heard_ms)} in which {' and '.join(spoken)} of the time."

    def _happenings(self, stats: CallStats) -> str:
        told = [*self.events.items(), *self.anomalies.items()]
        parts = [f"{count} {NAMES[kind][count > 1]}{self._detail(kind)}" for kind, count in told if kind not in _UNTOLD]
        if not parts:
            return "Nothing remarkable was heard."
        worst = max(self._burden, key=lambda minute: (self._burden[minute], -minute))
        where = f"; the worst minute began at {clock(worst * _MINUTE_MS)}" if stats.heard_ms > 2 * _MINUTE_MS else ""
        return f"Heard: {', '.join(parts)}{where}."

    def _detail(self, kind: str) -> str:
        if kind == "interrupt":
            return f" (by {' and '.join(f'{name} {count}' for name, count in self._interrupters.items())})"
        if kind == "long_pause":
            return f" ({seconds(self._pauses_ms)} in all, the longest {seconds(self._longest_pause_ms)})"
        return ""

    def _sound_and_mood(self) -> str:
        score = self.mos_score
        parts = []
        if score is not None:
            grade = next(name for least, name in _SCORES if score >= least)
            parts.append(f"the sound was {grade} (MOS {int(score * 10) / 10})")
        if self._moods:
            parts.append(f"the mood was mostly {self._moods.most_common(1)[0][0]}")
        text = " and ".join(parts)
        return f"{text[0].upper()}{text[1:]}." if text else ""


def clock(ms: int) -> str:
    """Media time as m:ss.mmm."""
    return f"{ms // 60_000}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def seconds(ms: int) -> str:
    """A duration in seconds with one decimal, rounded half up."""
    tenths = (ms + 50) // 100
    return f"{tenths // 10}.{tenths % 10} s"


def share(part_ms: int, whole_ms: int) -> str:
    """A part in whole percent, rounded half up."""
    return f"{(200 * part_ms + whole_ms) // (2 * whole_ms) if whole_ms else 0} %"


def what(heard: Heard) -> str:
    """What was found, in the words of a table."""
    if isinstance(heard, Anomaly):
        return f"{heard.description} {heard.recommendation}"
    known = heard.metadata
    match heard.type:
        case "interrupt":
            return f"interrupted by {known['by']}"
        case "silence":
            return f"silence ({known['kind']})"
        case "volume_spike":
            return f"volume spike, {known['gainDb']} dB above the usual"
        case other:
            return NAMES[other][0]
