"""What an alert says: titles, messages, severity and whether somebody should act, by what was heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
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

TELLS_DURATION = frozenset({"interrupt", "overlap", "long_pause", "silence"})

ANOMALY_TITLES = {
    "background_noise": "Background Noise",
    "echo": "Echo Detected",
    "distortion": "Audio Distortion",
    "dropouts": "Audio Dropout",
    "excessive_silence": "Excessive Silence",
    "volume_inconsistency": "Volume Inconsistency",
    "wrong_format": "Wrong Audio Format",
    "engine_fault": "Engine Fault",
    "analysis_lag": "Analysis Behind",
}
HEARING_FAILS = frozenset({"wrong_format", "engine_fault", "analysis_lag"})  # whatever else is found cannot be trusted

POOR_MOS, BAD_MOS = 3.0, 2.5
SURE_OF_SENTIMENT = 0.7


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
    duration_ms = event.get("duration")
    match event["type"]:
        case "interrupt":
            return f"Interrupt detected ({duration_ms}ms)"
        case "overlap":
            return f"Speech overlap detected ({duration_ms}ms)"
        case "long_pause":
            return f"Pause duration: {_rounded(event['duration'] / 1000, '0.1')}s"
        case "volume_spike":
            return f"Volume spike: {_level(event.get('metadata', {}).get('level'))}"
        case "silence":
            return f"Silence detected for {duration_ms}ms"
        case "speaker_change":
            return "Speaker change detected"
        case _:
            return "Event detected"


def _level(level: Any) -> str:
    """An amplitude as its sender told it, if it is a number that can be one."""
    return _rounded(level, "0.01") if type(level) in (int, float) and abs(level) < 1e6 else "unknown"


def _rounded(value: float, step: str, rounding: str = ROUND_HALF_UP) -> str:
    """A number as it is written, to the decimals of `step`: binary fractions would round 0.845 down."""
    return str(Decimal(str(value)).quantize(Decimal(step), rounding))


def for_anomaly(anomaly: Mapping[str, Any]) -> Wording:
    """Words for an anomaly record (`type`, `severity`, `description`, `confidence`, `recommendation`)."""
    severity = Severity[str(anomaly["severity"]).upper()]
    if anomaly["type"] in HEARING_FAILS:
        severity = Severity.HIGH
    return Wording(
        type=AlertType.ANOMALY,
        kind=anomaly["type"],
        severity=severity,
        title=ANOMALY_TITLES.get(anomaly["type"], anomaly["type"]),
        message=anomaly["description"],
        actionable=severity >= Severity.HIGH,
        data={
            "anomaly": dict(anomaly),
            "confidence": anomaly["confidence"],
            "recommendation": anomaly.get("recommendation", ""),
        },
    )


def for_quality(quality: Mapping[str, Any]) -> Wording | None:
    """Words for a call's quality (`mosScore`, and `degraded` where its engine decides); None while it is good."""
    mos = quality["mosScore"]
    degraded = quality.get("degraded")
    if not (mos < POOR_MOS if degraded is None else degraded):
        return None
    return Wording(
        type=AlertType.QUALITY_DEGRADED,
        kind="mos",
        severity=Severity.HIGH if mos < BAD_MOS else Severity.MEDIUM,
        title="Call Quality Degraded",
        message=f"MOS score: {_rounded(mos, '0.1', ROUND_FLOOR)} (threshold: {POOR_MOS})",
        actionable=True,
        data=dict(quality),
    )


def for_sentiment(sentiment: Mapping[str, Any]) -> Wording | None:
    """Words for a call's sentiment (`sentiment`, `confidence`); None unless it is negative, and surely so."""
    confidence = sentiment["confidence"]
    if sentiment["sentiment"] != "negative" or not confidence > SURE_OF_SENTIMENT:
        return None
    percent = Decimal(str(confidence)) * 100
    return Wording(
        type=AlertType.SENTIMENT_SHIFT,
        kind="negative",
        severity=Severity.MEDIUM,
        title="Negative Sentiment Detected",
        message=f"Confidence: {percent.quantize(Decimal(1), ROUND_HALF_UP)}%",
        actionable=False,
        data=dict(sentiment),
    )


def for_summary(summary: str) -> Wording:
    """Words for the summary of a call."""
    return Wording(
        type=AlertType.CALL_SUMMARY,
        kind="summary",
        severity=Severity.INFO,
        title="Call Analysis Summary",
        message=summary,
        actionable=False,
        data={"summary": summary},
    )


STREAM_SENTENCES = {
    "started": "The {protocol} stream has started",
    "ended": "The {protocol} stream has ended",
    "lost": "The {protocol} stream is lost",
}


def for_stream(kind: str, protocol: str, reason: str) -> Wording:
    """Words for a call's stream that `started`, `ended` or is `lost`; `reason` says how, or is empty."""
    how = "" if reason in ("", "stop") else f" ({reason})"
    return Wording(
        type=AlertType.CONNECTION if kind == "started" else AlertType.DISCONNECTION,
        kind=kind,
        severity=Severity.HIGH if kind == "lost" else Severity.INFO,
        title="Call Connected" if kind == "started" else "Call Disconnected",
        message=STREAM_SENTENCES[kind].format(protocol=protocol) + how + ".",
        actionable=kind == "lost",
        data={"protocol": protocol, "reason": reason},
    )
