"""A real call of 71 s, not in the repository: two people take turns, so nothing is heard but who has the floor."""

from pathlib import Path

import pytest

from analysis import CallAnalyzer
from analysis.audio import decode, open_recording
from analysis.findings import CallEvent
from benchmarks.scoring import Span, score
from tests.analysis.voices import closed

RECORDING = Path(__file__).parents[3] / "shared" / "data" / "real-call.wav"

# By its levels and two other voice activity detectors, which agree to 300 ms. In doubt is who speaks alone for 1 s to
# within 0.2 s, and what follows from it.
FLOOR = [
    Span("speaker_change", "agent", 5080, 6080, sure=False),
    Span("speaker_change", "agent", 6810, 7810, sure=False),
    Span("speaker_change", "caller", 11_870, 12_870),
    Span("speaker_change", "agent", 14_540, 15_540),
    Span("speaker_change", "caller", 17_640, 18_640),
    Span("speaker_change", "agent", 23_080, 24_080),
    Span("speaker_change", "caller", 26_710, 27_710),
    Span("speaker_change", "agent", 36_830, 37_830),
    Span("speaker_change", "caller", 40_990, 41_990),
    Span("speaker_change", "agent", 64_990, 65_990, sure=False),
    Span("speaker_change", "caller", 66_770, 67_770, sure=False),
]


@pytest.mark.skipif(not RECORDING.exists(), reason=f"{RECORDING} is not there")
def test_a_real_call_of_two_people_who_take_turns_has_no_event_but_changes_of_the_floor() -> None:
    recording = open_recording(RECORDING)
    analyzer = CallAnalyzer(recording.sample_rate)
    findings = []
    for block in recording.blocks():
        findings += analyzer.push(decode(block, recording.encoding).reshape(-1, recording.channels))
    findings += analyzer.finish()
    events = [event for event in closed(findings) if isinstance(event, CallEvent)]
    found = [Span(e.type, e.channel, e.timestamp, e.timestamp + e.duration) for e in events]
    (floor,) = score(found, FLOOR).values()
    assert (floor.misses, floor.false) == (0, 0)
