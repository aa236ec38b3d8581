"""The bank's manners: what it refuses, and how it takes audio that is late or missing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import CallAnalyzer, CallBank
from analysis.audio import Encoding
from analysis.framing import Track
from tests.analysis.voices import LOOK_AHEAD_MS, bank_of, call, hear

TWO_SECONDS = call(2000, [(500, 1500)], [])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sample_rate": 7999}, "7999"),
        ({"sample_rate": 8001}, "8001"),
        ({"sample_rate": 192_000}, "192000"),
        ({"channels": ()}, "()"),
        ({"channels": ("a", "b", "c")}, "'c'"),
        ({"channels": ("agent", "agent")}, "'agent'"),
        ({"channels": ("agent", "all")}, "'all'"),
        ({"channels": ("",)}, "''"),
        ({"encoding": "opus"}, "opus"),
    ],
)
def test_a_call_that_cannot_be_heard_is_refused_by_the_value(arguments: dict[str, Any], named: str) -> None:
    bank = CallBank()
    with pytest.raises(ValueError, match=f".*{named}".replace("(", r"\(").replace(")", r"\)")):
        bank.open("c", **arguments)
    bank.open("c")


@pytest.mark.parametrize(
    ("samples", "channel", "named"),
    [
        (np.zeros((5, 3), np.int16), None, r"\(5, 3\)"),
        (np.zeros(5, np.int16), None, r"\(5,\)"),
        (np.zeros((5, 2), np.int16), 0, r"\(5, 2\)"),
        (np.zeros((5, 2), np.int32), None, "int32"),
        (np.array([[0, 0], [np.nan, 0]], np.float32), None, "sample 2 is nan"),
        (np.array([[0, np.inf]], np.float32), None, "sample 1 is inf"),
        ([1, 2], None, "list"),
        (b"\0\0", 2, "channel 2"),
        (b"\0\0", -1, "channel -1"),
    ],
)
def test_audio_that_is_none_is_refused_and_leaves_the_call_unharmed(
    samples: Any, channel: int | None, named: str
) -> None:
    bank = bank_of("c")
    with pytest.raises(ValueError, match=named):
        bank.push("c", samples, channel)
    bank.push("c", TWO_SECONDS)
    assert bank.close("c") == hear(TWO_SECONDS)


def test_unknown_and_doubled_calls_are_named() -> None:
    bank = bank_of("here")
    with pytest.raises(ValueError, match="'here' is open already"):
        bank.open("here")
    for use in (bank.close, bank.stats, lambda call_id: bank.push(call_id, b""), lambda call_id: bank.gap(call_id, 1)):
        with pytest.raises(ValueError, match="'gone' is not open"):
            use("gone")


def test_arrays_are_for_linear_calls() -> None:
    with pytest.raises(ValueError, match="mulaw"):
        bank_of("c", Encoding.MULAW).push("c", TWO_SECONDS)


@pytest.mark.parametrize("samples", [-1, 8000 * 3600 + 1])
def test_absurd_gaps_are_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=str(samples)):
        bank_of("c").gap("c", samples)


def test_a_finished_analyzer_says_so() -> None:
    analyzer = CallAnalyzer()
    analyzer.finish()
    with pytest.raises(ValueError, match="not open"):
        analyzer.push(TWO_SECONDS)


def test_floats_of_full_scale_are_clipped_not_wrapped() -> None:
    loud = np.tile(np.array([[1.0, -1.0], [-1.5, 1.5]], np.float32), (8000, 1))
    ints = np.tile(np.array([[32767, -32768], [-32768, 32767]], np.int16), (8000, 1))
    assert hear(loud) == hear(ints)


def test_gaps_take_time_and_are_counted() -> None:
    bank = bank_of("c")
    bank.push("c", TWO_SECONDS)
    bank.gap("c", 8000)
    bank.push("c", TWO_SECONDS)
    bank.close("c")
    stats = bank.stats("c")
    assert stats.heard_ms == 5000
    assert stats.missing_ms == {"caller": 1000, "agent": 1000}
    assert stats.talk_ms == {"caller": 2000, "agent": 0}


def test_a_gap_in_speech_is_silence_there_and_harms_nothing_after() -> None:
    samples = call(8000, [(1000, 2800), (3400, 5000)], [])
    bank = bank_of("c")
    bank.push("c", samples[: 1800 * 8])
    bank.gap("c", 400 * 8)
    bank.push("c", samples[2200 * 8 :])
    bank.close("c")
    assert bank.stats("c").talk_ms["caller"] == 800 + 600 + 1600


def test_audio_that_comes_after_it_was_given_up_is_dropped_and_counted() -> None:
    samples = call(6000, [(1000, 2000)], [(500, 1500), (4000, 5000)])
    bank = bank_of("c")
    bank.push("c", samples[: 3000 * 8, 0], 0)
    bank.tick()
    assert bank.stats("c").heard_ms == 2000
    bank.push("c", samples[: 6000 * 8, 1], 1)
    bank.push("c", samples[3000 * 8 :, 0], 0)
    bank.close("c")
    stats = bank.stats("c")
    assert stats.heard_ms == 6000
    assert stats.late_ms == {"caller": 0, "agent": 2000}
    assert stats.talk_ms == {"caller": 1000, "agent": 1000}


def test_a_lagging_channel_of_a_resampled_call_is_given_up_too() -> None:
    bank = bank_of("c", rate_hz=48_000)
    for _ in range(20):
        bank.push("c", b"\1\0" * 9600, 0)
        bank.tick()
    bank.push("c", b"\1\0" * 48_000 * 4, 1)
    bank.close("c")
    stats = bank.stats("c")
    assert stats.heard_ms == 4000
    assert 2900 <= stats.late_ms["agent"] <= 3100


def test_a_partial_last_frame_is_not_heard() -> None:
    bank = bank_of("c")
    bank.push("c", TWO_SECONDS[:15_999])
    bank.close("c")
    assert bank.stats("c").heard_ms == 1980


def test_talk_counts_the_talkspurt_that_goes_on() -> None:
    bank = bank_of("c")
    bank.push("c", TWO_SECONDS[: 1000 * 8])
    bank.tick()
    assert bank.stats("c").talk_ms == {"caller": 500 - LOOK_AHEAD_MS, "agent": 0}


def test_a_call_whose_audio_hits_a_fault_is_set_aside_and_the_others_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(track: Track, frames: int) -> Any:
        if track.sample_rate == 16_000:
            raise ZeroDivisionError("a bug that this audio hits")
        return of_all(track, frames)

    of_all = Track.take
    monkeypatch.setattr(Track, "take", take)
    bank = bank_of("good")
    bank.open("bad", 16_000)
    found = []
    for piece in (TWO_SECONDS[:8000], TWO_SECONDS[8000:]):
        for call_id in ("bad", "good"):
            bank.push(call_id, piece)
        found += bank.tick()
        bank.gap("bad", 8000)
    assert [type(error) for error in bank.failed().values()] == [ZeroDivisionError]
    assert bank.go_on("bad") == []
    assert bank.close("bad") == []
    assert bank.failed() == {}
    assert [finding for _, finding in found] + bank.close("good") == hear(TWO_SECONDS)


FORMATS = st.sampled_from([(8000, Encoding.LINEAR16), (8000, Encoding.MULAW), (16_000, Encoding.ALAW), (44_100, None)])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(FORMATS, st.integers(0, 1500), st.integers(0, 70)), min_size=1, max_size=4))
def test_a_call_that_goes_on_in_other_formats_counts_its_media_time_on(
    streams: list[tuple[tuple[int, Encoding | None], int, int]],
) -> None:
    """Of each stream but the last a partial frame may be left unheard, and no more."""
    bank = bank_of("c")
    pushed_ms, missing_ms = 0.0, 0.0
    for (rate_hz, encoding), ms, gap_ms in streams:
        encoding = encoding or Encoding.LINEAR16
        bank.go_on("c", rate_hz, encoding)
        bank.push("c", bytes(ms * rate_hz // 1000 * encoding.sample_width * 2))
        bank.tick()
        bank.gap("c", gap_ms * rate_hz // 1000)
        pushed_ms += ms + gap_ms
        missing_ms += gap_ms
    bank.close("c")
    stats = bank.stats("c")
    assert 0 <= pushed_ms - stats.heard_ms <= 25 * len(streams)
    assert all(0 <= missing_ms - ms <= 2 * len(streams) for ms in stats.missing_ms.values())


def test_what_is_open_stays_open_when_a_call_goes_on_in_another_stream() -> None:
    first, second = call(3000, [(500, 3000)], []), call(3000, [(0, 2000)], [(1000, 2500)])
    bank = bank_of("c")
    bank.push("c", first)
    found = bank.go_on("c", 8000, Encoding.LINEAR16)
    bank.push("c", second)
    after = [finding for _, finding in found] + bank.close("c")
    assert after == hear(np.concatenate([first, second]))
