"""A call in words and in tables, for people, and its summary record."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from analysis.bank import CallStats
from analysis.findings import Anomaly, CallEvent, Heard

_NAMES = {
    "overlap": ("overlap", "overlaps"),
    "interrupt": ("interruption", "interruptions"),
    "long_pause": ("long pause", "long pauses"),
    "silence": ("silence", "silences"),
    "volume_spike": ("volume spike", "volume spikes"),
    "speaker_change": ("speaker change", "speaker changes"),
    "background_noise": ("stretch of background noise", "stretches of background noise"),
    "echo": ("echo", "echoes"),
    "distortion": ("stretch of distortion", "stretches of distortion"),
    "dropouts": ("stretch of dropouts", "stretches of dropouts"),
    "excessive_silence": ("stretch of excessive silence", "stretches of excessive silence"),
    "volume_inconsistency": ("change of volume", "changes of volume"),
    "wrong_format": ("wrong format", "wrong formats"),
}


def clock(ms: int) -> str:
    """Media time as m:ss.mmm."""
    return f"{ms // 60_000}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def summary_text(stats: CallStats, events: Sequence[Heard]) -> str:
    """What the call was like, in two sentences."""
    spoken = [f"{name} spoke {_share(ms, stats.heard_ms)}" for name, ms in stats.talk_ms.items()]
    return f"A call of {clock(stats.heard_ms)} in which {' and '.join(spoken)} of the time. {_counted(events)}"


def summary_record(stats: CallStats, events: Sequence[Heard]) -> dict[str, Any]:
    """The last record of `--json`; the quality is not estimated, so `mosScore` is null."""
    return {
        "record": "summary",
        "summary": summary_text(stats, events),
        "talkMs": dict(stats.talk_ms),
        "events": dict(Counter(event.type for event in events if isinstance(event, CallEvent))),
        "anomalies": dict(Counter(event.type for event in events if isinstance(event, Anomaly))),
        "mosScore": None,
    }


def describe(stats: CallStats, events: Sequence[Heard]) -> str:
    """Tables of who spoke how long and of all events, in the order of their beginning."""
    lines = [f"{name:<10} {clock(ms):>10}  {_share(ms, stats.heard_ms):>4}" for name, ms in stats.talk_ms.items()]
    if events:
        lines += ["", f"{'from':>10} {'for':>10}  {'channel':<10} {'severity':<9} what"]
        lines += [_line(event) for event in sorted(events, key=lambda event: event.timestamp)]
    return "\n".join(lines) + "\n"


def _line(event: Heard) -> str:
    times = f"{clock(event.timestamp):>10} {clock(event.duration):>10}"
    return f"{times}  {event.channel:<10} {event.severity:<9} {_what(event)}"


def _what(event: Heard) -> str:
    if isinstance(event, Anomaly):
        return f"{event.description} {event.recommendation}"
    known = event.metadata
    match event.type:
        case "interrupt":
            return f"interrupted by {known['by']}"
        case "silence":
            return f"silence ({known['kind']})"
        case "volume_spike":
            return f"volume spike, {known['gainDb']} dB above the usual"
        case other:
            return _NAMES[other][0]


def _share(part_ms: int, whole_ms: int) -> str:
    return f"{(200 * part_ms + whole_ms) // (2 * whole_ms) if whole_ms else 0} %"


def _counted(events: Sequence[Heard]) -> str:
    found = Counter(event.type for event in events)
    parts = [f"{count} {_NAMES[type][count > 1]}" for type, count in found.items()]
    if not parts:
        return "Nothing remarkable was heard."
    return f"Heard: {', '.join(parts)}."
