"""What alerts say: every row of the table of docs/protocol.md, and rounding where it is easily got wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from alerts import findings, wording
from alerts.models import AlertType, Severity
from alerts.wording import Wording
from alerts.writer import Report


def event(type_: str, duration: int = 0, severity: str = "medium", **metadata: Any) -> dict[str, Any]:
    return {"type": type_, "timestamp": 900, "duration": duration, "severity": severity, "metadata": metadata}


def anomaly(type_: str, severity: str = "low") -> dict[str, Any]:
    told = {"description": "Something hums.", "confidence": 0.9, "recommendation": "Unplug it."}
    return {"type": type_, "severity": severity, **told}


@pytest.mark.parametrize(
    ("given_event", "title", "message"),
    [
        (event("interrupt", 820), "Speaker Interrupt", "Interrupt detected (820ms)"),
        (event("overlap", 820), "Speech Overlap", "Speech overlap detected (820ms)"),
        (event("long_pause", 4200), "Long Pause", "Pause duration: 4.2s"),
        (event("long_pause", 4250), "Long Pause", "Pause duration: 4.3s"),
        (event("long_pause", 4249), "Long Pause", "Pause duration: 4.2s"),
        (event("long_pause", 3000), "Long Pause", "Pause duration: 3.0s"),
        (event("volume_spike", level=0.83), "Volume Spike", "Volume spike: 0.83"),
        (event("volume_spike", level=0.825), "Volume Spike", "Volume spike: 0.83"),
        (event("volume_spike", level=1), "Volume Spike", "Volume spike: 1.00"),
        (event("volume_spike"), "Volume Spike", "Volume spike: unknown"),
        (event("volume_spike", level="loud"), "Volume Spike", "Volume spike: unknown"),
        (event("volume_spike", level=1e300), "Volume Spike", "Volume spike: unknown"),
        (event("silence", 3000), "Silence Detected", "Silence detected for 3000ms"),
        (event("speaker_change"), "Speaker Change", "Speaker change detected"),
        (event("cough", 10), "cough", "Event detected"),
    ],
)
def test_events_are_worded(given_event: dict[str, Any], title: str, message: str) -> None:
    assert wording.for_event(given_event) == Wording(
        type=AlertType.CALL_EVENT,
        kind=given_event["type"],
        severity=Severity.MEDIUM,
        title=title,
        message=message,
        actionable=False,
        data={"event": given_event, "timestamp": 900},
    )


@pytest.mark.parametrize(
    ("type_", "title"),
    [
        ("background_noise", "Background Noise"),
        ("echo", "Echo Detected"),
        ("distortion", "Audio Distortion"),
        ("dropouts", "Audio Dropout"),
        ("excessive_silence", "Excessive Silence"),
        ("volume_inconsistency", "Volume Inconsistency"),
        ("crackle", "crackle"),
    ],
)
def test_anomalies_say_their_description(type_: str, title: str) -> None:
    assert wording.for_anomaly(anomaly(type_)) == Wording(
        type=AlertType.ANOMALY,
        kind=type_,
        severity=Severity.LOW,
        title=title,
        message="Something hums.",
        actionable=False,
        data={"anomaly": anomaly(type_), "confidence": 0.9, "recommendation": "Unplug it."},
    )


@pytest.mark.parametrize(
    ("type_", "title"),
    [
        ("wrong_format", "Wrong Audio Format"),
        ("engine_fault", "Engine Fault"),
        ("analysis_lag", "Analysis Behind"),
    ],
)
def test_what_keeps_a_call_from_being_heard_is_always_high(type_: str, title: str) -> None:
    words = wording.for_anomaly(anomaly(type_, "info"))
    assert (words.title, words.severity, words.actionable) == (title, Severity.HIGH, True)


@pytest.mark.parametrize("severity", ["info", "low", "medium", "high", "critical"])
def test_events_and_anomalies_are_actionable_from_high_on(severity: str) -> None:
    for words in (wording.for_event(event("overlap", 1, severity)), wording.for_anomaly(anomaly("echo", severity))):
        assert (words.severity.label, words.actionable) == (severity, severity in ("high", "critical"))


@pytest.mark.parametrize(
    ("mos", "severity", "printed"),
    [
        (2.999, "medium", "2.9"),
        (2.96, "medium", "2.9"),
        (2.5, "medium", "2.5"),
        (2.499, "high", "2.4"),
        (2.3, "high", "2.3"),
        (1, "high", "1.0"),
    ],
)
def test_bad_quality_prints_its_mos_rounded_down(mos: float, severity: str, printed: str) -> None:
    words = wording.for_quality({"mosScore": mos})
    assert words is not None
    assert (words.type, words.kind, words.severity.label) == ("quality_degraded", "mos", severity)
    assert (words.title, words.actionable) == ("Call Quality Degraded", True)
    assert words.message == f"MOS score: {printed} (threshold: 3.0)"
    assert words.data == {"mosScore": mos}


def test_quality_is_degraded_when_its_engine_says_so_and_else_below_three() -> None:
    degraded = {
        (2.0, True): True,
        (2.0, False): False,
        (2.0, None): True,
        (4.0, True): True,
        (4.0, None): False,
        (3.0, None): False,
    }
    for (mos, flag), expected in degraded.items():
        assert (wording.for_quality({"mosScore": mos, "degraded": flag}) is not None) is expected
    assert wording.for_quality({"mosScore": 3.0}) is None


@pytest.mark.parametrize(
    ("confidence", "printed"), [(0.85, "85"), (0.845, "85"), (0.8449, "84"), (0.7001, "70"), (1, "100")]
)
def test_a_negative_sentiment_prints_its_confidence_rounded_half_up(confidence: float, printed: str) -> None:
    sentiment = {"sentiment": "negative", "confidence": confidence, "basis": "text"}
    assert wording.for_sentiment(sentiment) == Wording(
        type=AlertType.SENTIMENT_SHIFT,
        kind="negative",
        severity=Severity.MEDIUM,
        title="Negative Sentiment Detected",
        message=f"Confidence: {printed}%",
        actionable=False,
        data=sentiment,
    )


@pytest.mark.parametrize(("sentiment", "confidence"), [("negative", 0.7), ("neutral", 0.9), ("positive", 1.0)])
def test_other_sentiments_say_nothing(sentiment: str, confidence: float) -> None:
    assert wording.for_sentiment({"sentiment": sentiment, "confidence": confidence}) is None


def test_a_summary_is_its_message() -> None:
    words = wording.for_summary("They agreed.")
    assert (words.type, words.kind, words.severity) == ("call_summary", "summary", Severity.INFO)
    assert (words.title, words.message, words.actionable) == ("Call Analysis Summary", "They agreed.", False)
    assert words.data == {"summary": "They agreed."}


@pytest.mark.parametrize(
    ("kind", "reason", "type_", "title", "severity", "message"),
    [
        ("started", "", "connection", "Call Connected", "info", "The pcm stream has started."),
        ("ended", "stop", "disconnection", "Call Disconnected", "info", "The pcm stream has ended."),
        ("lost", "no audio", "disconnection", "Call Disconnected", "high", "The pcm stream is lost (no audio)."),
    ],
)
def test_streams_come_and_go(kind: str, reason: str, type_: str, title: str, severity: str, message: str) -> None:
    words = wording.for_stream(kind, "pcm", reason)
    assert (words.type, words.kind, words.title, words.message) == (type_, kind, title, message)
    assert (words.severity.label, words.actionable) == (severity, kind == "lost")
    assert words.data == {"protocol": "pcm", "reason": reason}


def test_the_original_said_3000000ms_of_a_silence_of_3000_ms() -> None:
    assert wording.for_event(event("silence", 3000)).message == "Silence detected for 3000ms"


def test_the_original_said_of_a_mos_of_2_96_that_it_is_3_0() -> None:
    words = wording.for_quality({"mosScore": 2.96})
    assert words is not None
    assert words.message == "MOS score: 2.9 (threshold: 3.0)"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["type", "channel", "timestamp", "duration", "severity", "metadata", "confidence", "description"]
nearly = {
    "timestamp": st.integers(-5, 10**6),
    "duration": st.integers(-5, 10**6),
    "severity": st.sampled_from(["low", "high", "awful"]),
    "type": st.sampled_from(["overlap", "volume_spike", "long_pause", "x"]),
    "metadata": st.dictionaries(st.just("level"), json_like),
    "confidence": st.floats(-0.5, 1.5),
    "description": st.text(min_size=1, max_size=5),
}


@given(
    st.fixed_dictionaries({}, optional={name: nearly.get(name, json_like) | json_like for name in FIELDS}) | json_like
)
def test_a_record_is_either_worded_or_its_fault_is_named(record: Any) -> None:
    def said(record_class: type[findings.Record], report_of: Callable[..., Report]) -> str:
        try:
            return report_of("c", findings.checked(record_class, record)).message
        except ValidationError as error:
            return findings.told(error)

    assert said(findings.EventRecord, findings.of_event)
    assert said(findings.AnomalyRecord, findings.of_anomaly)


def test_a_record_is_a_copy_with_all_that_its_engine_told() -> None:
    told = event("overlap", 300) | {"record": "event", "detectedAt": 1400, "mood": {"anger": [0.5]}}
    right = findings.checked(findings.EventRecord, told)
    told["mood"]["anger"].append("later")
    assert right == event("overlap", 300) | {"detectedAt": 1400, "mood": {"anger": [0.5]}}
