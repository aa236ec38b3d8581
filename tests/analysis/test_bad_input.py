"""Audio that no call should have: a clear finding or none, each opened and closed once, and memory that stays flat."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis import CallAnalyzer, Finding
from analysis.__main__ import main
from analysis.findings import State
from tests.analysis.test_audio import wav
from tests.analysis.voices import bank_of, call, closed, hear, talk, to_samples

SECOND = 8000
RANDOM = np.random.default_rng(0)
TWO_TALKS = call(9000, [(500, 3000)], [(3500, 6000)])


def lives(findings: list[Finding]) -> Counter[tuple[str, State]]:
    return Counter((finding.key, finding.state) for finding in findings if finding.state is not State.RAISED)


def assert_each_lives_once(findings: list[Finding]) -> None:
    """Every finding is opened once and closed once, in that order."""
    assert set(lives(findings).values()) <= {1}
    keys = [finding.key for finding in findings if finding.state is State.OPENED]
    assert sorted(keys) == sorted(finding.key for finding in findings if finding.state is State.CLOSED)


def square(samples: int) -> NDArray[np.int16]:
    return np.where(np.arange(samples) // 4 % 2, 32767, -32768).astype(np.int16)


NOISE = RANDOM.integers(-32768, 32768, (20 * SECOND, 2), dtype=np.int16)
ODD = {
    "zeros": np.zeros((20 * SECOND, 2), np.int16),
    "full-scale noise": NOISE,
    "full-scale squares": np.stack([square(20 * SECOND)] * 2, axis=1),
    "a constant": np.full((20 * SECOND, 2), 12_345, np.int16),
    "the lowest constant": np.full((20 * SECOND, 2), -32768, np.int16),
    "a click a second": np.where(np.arange(20 * SECOND) % SECOND, 0, 32767).astype(np.int16)[:, None].repeat(2, 1),
    "alternating samples": np.where(np.arange(20 * SECOND) % 2, 32767, -32768).astype(np.int16)[:, None].repeat(2, 1),
    "noise and nothing": NOISE * np.array([1, 0], np.int16),
}


@pytest.mark.parametrize("name", list(ODD))
def test_whatever_is_heard_nothing_is_raised_twice_or_left_open(name: str) -> None:
    found = hear(ODD[name])
    assert_each_lives_once(found)
    for finding in found:
        assert 0 <= finding.event.timestamp <= finding.event.timestamp + finding.event.duration <= 20_000
        assert finding.event.detected_at <= 20_000


@pytest.mark.parametrize("name", ["zeros", "a constant", "the lowest constant"])
def test_of_a_call_without_any_sound_only_its_quiet_is_told(name: str) -> None:
    (event,) = closed(hear(ODD[name]))
    assert (event.type, event.metadata["kind"], event.timestamp, event.duration) == ("silence", "quiet", 0, 20_000)


@pytest.mark.parametrize("name", ["full-scale noise", "full-scale squares", "alternating samples"])
def test_of_a_channel_that_is_all_noise_only_its_format_is_told(name: str) -> None:
    found = closed(hear(ODD[name]))
    assert [(event.type, event.channel) for event in found] == [("wrong_format", "caller"), ("wrong_format", "agent")]


def test_a_constant_offset_changes_nothing() -> None:
    samples = call(9000, [(500, 3000)], [(3500, 6000)], talk)
    offset = np.array([6000, -9000], np.int16)
    said = [(event.type, event.channel, event.timestamp, event.duration) for event in closed(hear(samples))]
    assert said == [
        (event.type, event.channel, event.timestamp, event.duration) for event in closed(hear(samples + offset))
    ]
    assert len(said) == 2


@pytest.mark.parametrize("names", [(), ("a", "b", "c"), ("a", "a"), ("a", ""), ("all", "b")])
def test_a_call_of_other_than_one_or_two_named_channels_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="channels"):
        CallAnalyzer(channels=names)


@pytest.mark.parametrize(("odd", "named"), [(np.nan, "sample 1 is nan"), (-np.inf, "sample 1 is -inf")])
def test_of_a_recording_with_a_sample_that_is_no_number_the_rest_is_told_and_where_it_is(
    odd: float, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.wav"
    samples = np.zeros(16_000, "<f4")
    samples[8001] = odd
    path.write_bytes(wav(samples.tobytes(), tag=3, bits=32))
    assert main([str(path), "--json"]) == 1
    out, err = capsys.readouterr()
    first, *_, last = map(json.loads, out.splitlines())
    assert (first["record"], last["record"]) == ("stream", "summary")
    assert err.count("\n") == 1
    assert f"in the block at sample 8000: {named}" in err


def test_a_channel_that_stops_is_told_while_the_call_goes_on() -> None:
    bank = bank_of("c")
    bank.push("c", TWO_TALKS)
    found: list[Finding] = []
    for _ in range(10):
        bank.push("c", TWO_TALKS[:SECOND, 0], 0)
        found += [finding for _, finding in bank.tick()]
    dead = [f for f in found if f.event.metadata.get("kind") == "digital"]
    assert [(f.state, f.event.channel, f.event.timestamp) for f in dead] == [(State.OPENED, "agent", 9000)]
    assert_each_lives_once(found + bank.close("c"))


def test_a_clock_that_jumps_ahead_is_silence_on_both_channels_and_speech_goes_on_after_it() -> None:
    bank = bank_of("c")
    bank.push("c", TWO_TALKS)
    bank.gap("c", 60 * SECOND)
    bank.push("c", TWO_TALKS)
    found = [finding for _, finding in bank.tick()] + bank.close("c")
    assert_each_lives_once(found)
    silences = [(e.channel, e.metadata["kind"], e.timestamp, e.duration) for e in closed(found, "silence")]
    assert [one for one in silences if one[1] == "digital"] == [
        ("caller", "digital", 9000, 60_000),
        ("agent", "digital", 9000, 60_000),
    ]
    stats = bank.stats("c")
    assert stats.heard_ms == 78_000
    assert stats.missing_ms == {"caller": 60_000, "agent": 60_000}


def test_single_samples_are_heard_as_any_other_pieces() -> None:
    analyzer = CallAnalyzer()
    found = [f for sample in TWO_TALKS[: 4 * SECOND] for f in analyzer.push(sample[None])] + analyzer.finish()
    assert found == hear(TWO_TALKS[: 4 * SECOND])


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from([0, 1, -1, 8, 32767, -32768]), st.integers(1, 4000)), max_size=30))
def test_steps_of_any_length_and_height_break_nothing(steps: list[tuple[int, int]]) -> None:
    levels = np.concatenate([np.full(length, level) for level, length in [*steps, (0, 1)]])
    assert_each_lives_once(hear(to_samples(levels, levels[::-1])))


@pytest.mark.parametrize(
    ("channels", "rate_hz", "named"), [(3, 8000, "3 channels"), (2, 192_000, "192000 Hz"), (2, 0, "0 Hz")]
)
def test_a_recording_of_another_shape_is_refused_in_one_line(
    channels: int, rate_hz: int, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(wav(bytes(channels * 2 * 100), channels=channels, rate=rate_hz))
    assert main([str(path), "--json"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert named in err


def test_96_khz_are_heard_as_16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fast.wav"
    samples = call(10_000, [(500, 3000)], [(3500, 6000)], talk)
    path.write_bytes(wav(np.repeat(samples, 12, axis=0).astype("<i2").tobytes(), channels=2, rate=96_000))
    assert main([str(path), "--json"]) == 0
    first, *middle, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["sampleRate"], first["durationMs"]) == (96_000, 10_000)
    events = [(record["type"], record["channel"]) for record in middle if record["record"] != "result"]
    assert events == [("speaker_change", "agent"), ("long_pause", "all")]
    assert last["record"] == "summary"
