"""Silence: dead channels, unheard parties, quiet calls; one record a stretch."""

import numpy as np
import pytest

from analysis import CallBank, Finding
from analysis.audio import Encoding
from tests.analysis.voices import LOOK_AHEAD_MS, babble, bank_of, call, channel, closed, hear, room, to_samples

TALK = [(start, start + 1600) for start in range(500, 60_000, 2000)]


def silences(findings: list[Finding]) -> list[tuple[str, str, int, int, str]]:
    events = closed(findings, "silence")
    return [(e.metadata["kind"], e.channel, e.timestamp, e.duration, e.severity) for e in events]


def test_zeros_for_5_s_on_a_channel_that_carried_sound_are_a_dead_line() -> None:
    samples = call(20_000, TALK[:9], [(2000, 2400)])
    samples[4000 * 8 : 11_000 * 8, 1] = 0
    found = hear(samples)
    assert silences(found) == [("digital", "agent", 4000, 7000, "high")]
    assert closed(found, "silence")[0].detected_at == 9000 + LOOK_AHEAD_MS


def test_a_channel_that_never_carried_sound_is_given_15_s_from_the_others_first_speech() -> None:
    samples = call(20_000, TALK[:9], [])
    samples[:, 1] = 0
    found = hear(samples)
    assert silences(found) == [("digital", "agent", 0, 20_000, "high")]
    assert closed(found, "silence")[0].detected_at == 15_500 + LOOK_AHEAD_MS


def test_a_laws_idle_code_is_zero_too() -> None:
    bank = bank_of("c", Encoding.ALAW)
    heard_ms = 10_000
    loud = bytes(np.random.default_rng(0).integers(0, 256, 8 * heard_ms, dtype=np.uint8))
    bank.push("c", loud, 0)
    bank.push("c", loud[:8000] + b"\xd5" * (8 * heard_ms - 8000), 1)
    found = [finding for _, finding in bank.tick()] + bank.close("c")
    assert ("digital", "agent", 1000, 9000, "high") in silences(found)


def test_missing_packets_are_a_dead_line() -> None:
    samples = call(14_000, TALK[:6], [(2000, 2400)])
    bank = bank_of("c")
    bank.push("c", samples[: 4000 * 8])
    bank.push("c", samples[4000 * 8 :, 0], 0)
    bank.gap("c", 10_000 * 8, 1)
    found = bank.close("c")
    assert silences(found) == [("digital", "agent", 4000, 10_000, "high")]
    assert bank.stats("c").missing_ms == {"caller": 0, "agent": 10_000}


def test_who_is_not_heard_for_15_s_from_the_others_first_speech_has_a_broken_line() -> None:
    found = hear(call(20_000, TALK[:9], []))
    assert silences(found) == [("one_way", "agent", 500, 19_500, "high")]
    assert closed(found, "silence")[0].detected_at == 15_500 + LOOK_AHEAD_MS


def test_who_was_heard_before_is_given_30_s() -> None:
    found = hear(call(45_000, TALK[:22], [(4200, 5000)]))
    assert silences(found) == [("one_way", "agent", 5000, 40_000, "high")]
    assert closed(found, "silence")[0].detected_at == 35_000 + LOOK_AHEAD_MS


def test_the_end_of_a_one_way_is_where_the_party_speaks_again() -> None:
    found = hear(call(45_000, TALK[:22], [(4200, 5000), (38_200, 39_000)]))
    assert silences(found) == [("one_way", "agent", 5000, 33_200, "high")]


def test_listening_to_a_monologue_is_no_silence() -> None:
    assert silences(hear(call(45_000, [(500, 44_000)], [(300, 900)]))) == []


def test_5_s_in_which_nobody_speaks_are_quiet() -> None:
    found = hear(call(16_000, [(1000, 2000)], [(9000, 10_000)]))
    assert silences(found) == [("quiet", "all", 2000, 7000, "low"), ("quiet", "all", 10_000, 6000, "low")]
    assert closed(found, "silence")[0].detected_at == 7000 + LOOK_AHEAD_MS


def test_a_dead_line_takes_the_stretch_from_quiet() -> None:
    samples = call(16_000, [(1000, 2000)], [(13_000, 14_000)])
    samples[2000 * 8 : 12_000 * 8] = 0
    assert silences(hear(samples)) == [
        ("digital", "caller", 2000, 10_000, "high"),
        ("digital", "agent", 2000, 10_000, "high"),
    ]


def test_quiet_counts_anew_after_a_dead_line() -> None:
    samples = call(20_000, [(1000, 2000)], [])
    samples[2000 * 8 : 8000 * 8, 0] = 0
    assert silences(hear(samples)) == [
        ("digital", "caller", 2000, 6000, "high"),
        ("quiet", "all", 8000, 12_000, "low"),
    ]


def test_mono_calls_know_dead_lines_and_quiet() -> None:
    sound = channel(20_000, [(1000, 2000), (9000, 10_000)])
    sound[10_000 * 8 : 16_000 * 8] = 0
    sound[16_000 * 8 : 17_000 * 8] = babble(1000)
    found = hear(to_samples(sound), channels=("mixed",))
    assert silences(found) == [
        ("quiet", "mixed", 2000, 7000, "low"),
        ("digital", "mixed", 10_000, 6000, "high"),
    ]


def test_zeros_before_any_sound_are_no_dead_line_in_mono() -> None:
    sound = np.concatenate([np.zeros(7000 * 8), room(1000)])
    found = hear(to_samples(sound), channels=("mixed",))
    assert [kind for kind, *_ in silences(found)] == ["quiet"]


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_channel_that_never_comes_is_given_up_after_a_second(ahead: int) -> None:
    samples = call(20_000, TALK[:9], TALK[:9])
    bank = CallBank()
    bank.open("c")
    for start in range(0, len(samples), 1600):
        bank.push("c", samples[start : start + 1600, ahead], ahead)
        bank.tick()
    assert bank.stats("c").heard_ms == 19_000
    found = bank.close("c")
    assert bank.stats("c").heard_ms == 20_000
    assert silences(found)[0][:4] == ("digital", ("agent", "caller")[ahead], 0, 20_000)
