"""What is found does not depend on how audio was cut, how often it was heard, or who else called."""

import tracemalloc
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import CallBank, Finding
from analysis.audio import Encoding, decode
from analysis.findings import AnalysisResult, CallEvent
from analysis.vad import NetworkVad, VadThresholds
from tests.analysis import voices
from tests.analysis.voices import call, pieces, room, talk

MS = 16_000
SIZES = st.lists(st.integers(1, 4000), min_size=1, max_size=6)


def eventful(seed: int = 0) -> np.ndarray:
    """A call with every kind of event in it; `seed` shifts them."""
    later = 20 * (seed % 23)
    caller = [(300 + later, 2400 + later), (3000, 4600 + later)]
    agent = [(1500, 1900), (2000 + later, 3400), (13_000, 14_500 - later)]
    samples = call(MS, caller, agent, talk)
    samples[(3800 + later) * 8 : 4400 * 8, 0] = np.rint(talk(600 - later, seed, -8))
    samples[5000 * 8 : (10_200 + later) * 8, 1] = 0
    return samples


def bank_of(call_id: str, encoding: Encoding = Encoding.LINEAR16) -> CallBank:
    """A bank with one open two-party call and the engine's own ears."""
    return voices.bank_of(call_id, encoding, vad=NetworkVad(VadThresholds()))


def solo(samples: np.ndarray) -> list[Finding]:
    bank = bank_of("c")
    bank.push("c", samples)
    return [finding for _, finding in bank.tick()] + bank.close("c")


SAMPLES = eventful()
EXPECTED = solo(SAMPLES)


def test_the_call_of_these_tests_is_eventful() -> None:
    types = {finding.event.type for finding in EXPECTED if isinstance(finding.event, CallEvent)}
    assert types == {"overlap", "interrupt", "long_pause", "silence", "volume_spike", "speaker_change"}


@pytest.mark.parametrize("size", [1, 2, 3, 640, 641, len(SAMPLES) * 4])
def test_bytes_may_be_cut_anywhere(size: int) -> None:
    bank = bank_of("c")
    found = []
    for number, piece in enumerate(pieces(SAMPLES.astype("<i2").tobytes(), [size])):
        bank.push("c", piece)
        if number % 5000 == 0:
            found += [finding for _, finding in bank.tick()]
    assert found + bank.close("c") == EXPECTED


@settings(deadline=None, max_examples=12)
@given(SIZES, st.integers(1, 40), st.sampled_from(["int16", "float32", "bytes"]))
def test_arrays_and_bytes_may_be_cut_anywhere(sizes: list[int], every: int, kind: str) -> None:
    bank = bank_of("c")
    found = []
    at = 0
    for number, size in enumerate(cycle(sizes)):
        piece = SAMPLES[at : at + size]
        if not len(piece):
            break
        at += size
        as_float = piece.astype(np.float32) / np.float32(32768)
        bank.push("c", {"int16": piece, "float32": as_float, "bytes": piece.astype("<i2").tobytes()}[kind])
        if number % every == 0:
            found += [finding for _, finding in bank.tick()]
    assert found + bank.close("c") == EXPECTED


@settings(deadline=None, max_examples=12)
@given(st.tuples(SIZES, SIZES), st.integers(1, 40), st.integers(0, 7000))
def test_channels_may_come_apart_by_less_than_a_second(
    sizes: tuple[list[int], list[int]], every: int, ahead: int
) -> None:
    bank = bank_of("c")
    found = []
    at = [0, 0]
    cuts = [cycle(sizes[0]), cycle(sizes[1])]
    number = 0
    while min(at) < len(SAMPLES):
        channel = int(at[0] >= len(SAMPLES) or at[1] + ahead < at[0])
        size = min(next(cuts[channel]), 900)
        bank.push("c", SAMPLES[at[channel] : at[channel] + size, channel], channel)
        at[channel] += size
        number += 1
        if number % every == 0 and abs(min(at[0], len(SAMPLES)) - min(at[1], len(SAMPLES))) < 8000:
            found += [finding for _, finding in bank.tick()]
    assert found + bank.close("c") == EXPECTED


def test_g711_bytes_are_heard_as_the_samples_they_stand_for() -> None:
    for encoding in (Encoding.MULAW, Encoding.ALAW):
        codes = np.random.default_rng(5).integers(0, 256, 2 * 8 * 4000, dtype=np.uint8)
        codes[2 * 8 * 1000 : 2 * 8 * 2000] = 0xD5
        data = codes.tobytes()
        bank = bank_of("c", encoding)
        found = []
        for piece in pieces(data, [1, 320, 777]):
            bank.push("c", piece)
            found += [finding for _, finding in bank.tick()]
        assert found + bank.close("c") == solo(decode(data, encoding).reshape(-1, 2))


def test_a_bank_of_50_finds_in_each_call_what_a_bank_of_one_does() -> None:
    kinds = [eventful(seed) for seed in range(10)]
    alone = [solo(samples) for samples in kinds]
    bank = CallBank()
    found: dict[str, list[Finding]] = {}
    waiting = {str(number): 0 for number in range(50)}
    rng = np.random.default_rng(3)
    for call_id in waiting:
        bank.open(call_id)
        found[call_id] = []
    while waiting:
        for call_id, at in list(waiting.items()):
            if rng.random() < 0.3:
                continue  # this one is late
            size = int(rng.integers(1, 12_000))
            samples = kinds[int(call_id) % 10]
            bank.push(call_id, samples[at : at + size])
            waiting[call_id] = at + size
            if at + size >= len(samples):
                found[call_id] += bank.close(call_id)
                del waiting[call_id]
        for call_id, finding in bank.tick():
            found[call_id].append(finding)
    assert all(found[call_id] == alone[int(call_id) % 10] for call_id in found)


def test_how_calls_sound_depends_neither_on_cuts_nor_on_other_calls() -> None:
    bank, alone = CallBank(), {}
    rng = np.random.default_rng(7)
    kinds = {str(number): np.concatenate([eventful(number), eventful(number + 9)]) for number in range(7)}
    for call_id, samples in kinds.items():
        single = bank_of(call_id)
        single.push(call_id, samples)
        single.tick()
        alone[call_id] = single.results
        bank.open(call_id)
    assert any(result.quality for _, result in alone["0"])
    found: dict[str, list[tuple[str, AnalysisResult]]] = {call_id: [] for call_id in kinds}
    at = dict.fromkeys(kinds, 0)
    while any(at[call_id] < len(samples) for call_id, samples in kinds.items()):
        for call_id, samples in kinds.items():
            size = int(rng.integers(1, 9000))
            bank.push(call_id, samples[at[call_id] : at[call_id] + size])
            at[call_id] += size
        bank.tick()
        for call_id, result in bank.results:
            found[call_id].append((call_id, result))
    assert found == alone


def test_a_place_in_the_bank_that_is_used_again_remembers_nothing() -> None:
    bank = CallBank()
    for _ in range(3):
        bank.open("c")
        bank.push("c", SAMPLES)
        assert bank.close("c") == EXPECTED


def test_calls_of_different_rates_and_shapes_share_a_bank() -> None:
    bank = CallBank()
    bank.open("narrow")
    bank.open("wide", 16_000)
    bank.open("mono", 44_100, ("mixed",))
    wide = np.repeat(SAMPLES, 2, axis=0)
    for number in range(MS // 200):
        bank.push("narrow", SAMPLES[number * 1600 : number * 1600 + 1600])
        bank.push("wide", wide[number * 3200 : number * 3200 + 3200])
        bank.push("mono", np.rint(room(200, number, rate_hz=44_100)).astype(np.int16))
        bank.tick()
    assert bank.close("mono")[-1].event.type == "silence"
    bank.close("wide")
    assert bank.stats("wide").heard_ms == MS


def test_a_long_call_takes_no_more_memory_than_a_short_one() -> None:
    bank = bank_of("c")
    bank.push("c", SAMPLES)
    bank.tick()
    tracemalloc.start()
    try:
        for _ in range(6):
            bank.push("c", SAMPLES)
            bank.gap("c", 160)
            bank.tick()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bank.stats("c").heard_ms == 7 * MS + 120
    assert grown < len(SAMPLES), "a quarter of the bytes of one of seven pushes"
