"""What an alert says: titles, messages, severity and whether somebody should act, by what was heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts.models import AlertType, Severity


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one alert, and how urgent they are."""

    type: AlertType
    kind: str
    severity: Severity
    title: str
    message: str
    actionable: bool
    data: dict[str, Any]


EVENT_TITLES = {
    "interrupt": "Speaker Interrupt",
    "overlap": "Speech Overlap",
    "long_pause": "Long Pause",
    "volume_spike": "Volume Spike",
    "silence": "Silence Detected",
    "speaker_change": "Speaker Change",
}


def for_event(event: Mapping[str, Any]) -> Wording:
    """Words for an event record (`type`, `timestamp`, `duration`, `severity`, `metadata`; times in media ms)."""
    severity = Severity[str(event["severity"]).upper()]
    return Wording(
        type=AlertType.CALL_EVENT,
        kind=event["type"],
        severity=severity,
        title=EVENT_TITLES.get(event["type"], event["type"]),
        message=_event_message(event),
        actionable=severity >= Severity.HIGH,
        data={"event": dict(event), "timestamp": event["timestamp"]},
    )


def _event_message(event: Mapping[str, Any]) -> str:
    duration_ms = event["duration"]
    match event["type"]:
        case "interrupt":
            return f"Interrupt detected ({duration_ms}ms)"
        case "overlap":
            return f"Speech overlap detected ({duration_ms}ms)"
        case "long_pause":
            return f"Pause duration: {_tenths(duration_ms)}s"
        case "volume_spike":
            return f"Volume spike: {event['metadata'].get('level', 'unknown')}"
        case "silence":
            return f"Silence detected for {duration_ms}ms"
        case "speaker_change":
            return "Speaker change detected"
        case _:
            return "Event detected"


def _tenths(duration_ms: int) -> str:
    """Seconds with one decimal, rounded half up."""
    tenths = (duration_ms + 50) // 100
    return f"{tenths // 10}.{tenths % 10}"


def for_stream(kind: str, protocol: str, reason: str) -> Wording:
    """Words for a call's audio stream that `started` or `ended`; `reason` as the stream gave it."""
    started = kind == "started"
    how = "" if reason in ("", "stop") else f" ({reason})"
    return Wording(
        type=AlertType.CONNECTION if started else AlertType.DISCONNECTION,
        kind=kind,
        severity=Severity.INFO,
        title="Call Connected" if started else "Call Disconnected",
        message=f"The {protocol} audio stream has {kind}{how}.",
        actionable=False,
        data={"protocol": protocol, "reason": reason},
    )
