"""The sample call that ships: its file is as described, and its labels are true of its talkspurts."""

import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import CallAnalyzer
from analysis.audio import decode, open_recording
from analysis.findings import CallEvent, State

SAMPLES = Path(__file__).parent.parent / "samples"
LABELS: dict[str, Any] = json.loads((SAMPLES / "call.labels.json").read_text())
OTHER = {"caller": "agent", "agent": "caller"}

Talking = dict[str, NDArray[np.bool_]]


@pytest.fixture
def talking() -> Talking:
    """Who talks in each millisecond of the call, and one silent second after it."""
    talking = {channel: np.zeros(LABELS["durationMs"] + 1000, bool) for channel in LABELS["channels"]}
    for channel, spurts in LABELS["talkspurts"].items():
        for start, end in spurts:
            talking[channel][start:end] = True
    return talking


def stretches(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Onset and length of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    yield from ((int(start), int(end - start)) for start, end in edges.reshape(-1, 2))


def heard_by_the_engine() -> list[CallEvent]:
    recording = open_recording(SAMPLES / "call.wav")
    analyzer = CallAnalyzer(recording.sample_rate, LABELS["channels"])
    findings = []
    for block in recording.blocks():
        findings += analyzer.push(decode(block, recording.encoding).reshape(-1, recording.channels))
    findings += analyzer.finish()
    return [finding.event for finding in findings if finding.state is State.CLOSED]


def labelled(kind: str) -> list[tuple[str, int, int, str]]:
    events = (event for event in LABELS["events"] if event["type"] == kind)
    return [(event["channel"], event["timestamp"], event["duration"], event["severity"]) for event in events]


def test_the_file_is_a_minute_of_two_channel_mulaw_at_8_khz_and_under_a_megabyte() -> None:
    wav = (SAMPLES / "call.wav").read_bytes()
    assert len(wav) < 1_000_000
    assert (wav[:4], wav[8:16]) == (b"RIFF", b"WAVEfmt ")
    encoding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", wav, 20)
    assert (encoding, channels, rate_hz, bits) == (7, 2, 8000, 8)
    data = wav.index(b"data")
    (length,) = struct.unpack_from("<I", wav, data + 4)
    assert len(wav) == data + 8 + length
    assert length == LABELS["durationMs"] * 8 * 2
    assert 55_000 < LABELS["durationMs"] < 65_000


def test_it_never_clips_and_is_never_digitally_silent() -> None:
    codes = np.frombuffer((SAMPLES / "call.wav").read_bytes()[-LABELS["durationMs"] * 16 :], np.uint8)
    magnitude = (~codes & 0x7F).reshape(-1, 2)
    assert magnitude.max() < 0x7F
    assert all(magnitude[start : start + 400].any(axis=0).all() for start in range(0, len(magnitude), 400))


def test_each_talkspurt_is_long_enough_and_apart_from_the_next() -> None:
    for spurts in LABELS["talkspurts"].values():
        assert all(end - start >= 80 for start, end in spurts)
        assert all(after[0] - before[1] > 200 for before, after in itertools.pairwise(spurts))


def test_overlaps_are_where_both_talk_for_200_ms_or_more(talking: Talking) -> None:
    both = list(stretches(talking["caller"] & talking["agent"]))
    assert labelled("overlap") == [
        ("all", start, length, "medium" if length >= 1000 else "low") for start, length in both if length >= 200
    ]
    assert not any(150 <= length <= 250 or 950 <= length <= 1050 for _, length in both)


def test_interruptions_are_where_one_yields_to_another_who_goes_on(talking: Talking) -> None:
    found = []
    for channel, other in OTHER.items():
        for start, length in stretches(talking[other]):
            before = talking[channel][: start + 1][::-1]
            if not before[:102].all():
                continue
            yields_after = int(np.argmin(talking[channel][start:]))
            if yields_after > 300 and length > yields_after + 300:
                rank = (yields_after >= 1000) + (other == "agent")
                found.append((channel, start, yields_after, ["low", "medium", "high"][rank]))
    assert labelled("interrupt") == sorted(found, key=lambda event: event[1])
    assert {event["metadata"]["by"] for event in LABELS["events"] if event["type"] == "interrupt"} == set(OTHER)


def test_the_long_pause_is_where_nobody_talks_for_3_s_after_the_first_speech(talking: Talking) -> None:
    nobody = ~(talking["caller"] | talking["agent"])
    pauses = [(start, length) for start, length in stretches(nobody) if start > 0 and length >= 3000]
    assert labelled("long_pause") == [("all", start, length, "low") for start, length in pauses]
    assert len(pauses) == 1
    assert pauses[0][1] < 5000


def test_there_is_something_to_see_within_8_s_and_one_of_each_kind() -> None:
    kinds = {event["type"] for event in LABELS["events"]}
    assert kinds == {"overlap", "interrupt", "long_pause", "volume_spike", "speaker_change"}
    assert any(start + 400 <= 8000 and length >= 400 for _, start, length, _ in labelled("overlap"))
    assert len(labelled("overlap")) >= 3
    assert len(labelled("volume_spike")) == 1


def test_the_engine_hears_exactly_what_is_labelled_with_onsets_within_300_ms() -> None:
    heard = sorted((e.type, e.channel, e.timestamp, e.severity) for e in heard_by_the_engine())
    true = sorted((e["type"], e["channel"], e["timestamp"], e["severity"]) for e in LABELS["events"])
    for found, label in zip(heard, true, strict=True):
        assert found[:2] + found[3:] == label[:2] + label[3:]
        assert abs(found[2] - label[2]) <= 300
