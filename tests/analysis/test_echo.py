"""Echo: what comes back of the other party is found, measured, and not taken for speech."""

from functools import cache
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import CallBank, Finding
from analysis.findings import Anomaly, State
from tests.analysis.sounds import echo
from tests.analysis.voices import LevelVad, Samples, bank_of, channel, closed, hear, spans, to_samples

CALLER = [(500, 2600), (3200, 5400), (8000, 10_400), (11_600, 13_600)]
AGENT = [(6000, 7600), (10_000, 11_200)]
MS = 15_000
SIZES = st.lists(st.integers(500, 20_000), min_size=1, max_size=5)


def returning(delay_ms: int, erl_db: float, caller: list[tuple[int, int]], agent: list[tuple[int, int]]) -> Samples:
    """A call whose agent's channel returns the caller."""
    ms = max(end for _, end in caller + agent) + 1400
    far = channel(ms, caller, 1)
    return to_samples(far, channel(ms, agent, 2) + echo(far, delay_ms, erl_db))


def echoes(findings: list[Finding], state: State = State.CLOSED) -> list[Anomaly]:
    return [f.event for f in findings if f.state is state and isinstance(f.event, Anomaly) and f.event.type == "echo"]


@cache
def found_in_echo() -> list[Finding]:
    return hear(returning(180, 16, CALLER, AGENT))


@pytest.mark.parametrize(
    ("delay_ms", "erl_db", "severity"), [(0, 24, "low"), (30, 8, "high"), (240, 15, "medium"), (490, 26, "low")]
)
def test_an_echo_is_found_with_its_delay_and_loss(delay_ms: int, erl_db: float, severity: str) -> None:
    found = echoes(hear(returning(delay_ms, erl_db, CALLER, AGENT)))
    assert [(anomaly.channel, anomaly.severity) for anomaly in found] == [("agent", severity)]
    assert abs(found[0].metadata["delayMs"] - delay_ms) <= 20
    assert abs(found[0].metadata["erlDb"] - erl_db) <= 3
    assert found[0].timestamp <= 6000, "within a few seconds of the caller's speech"
    assert found[0].confidence >= 0.5


def test_who_is_told_of_an_echo_learns_who_hears_it_and_what_to_do() -> None:
    anomaly = echoes(found_in_echo())[0]
    assert "caller" in anomaly.description
    assert "headset" in anomaly.recommendation


def test_an_echo_is_no_speech_and_speech_over_it_is() -> None:
    overlap = [(start, end) for _, start, end, _ in spans(found_in_echo(), "overlap")]
    assert len(overlap) == 1
    assert abs(overlap[0][0] - 10_000) <= 60
    assert abs(overlap[0][1] - 400) <= 60
    interrupts = closed(found_in_echo(), "interrupt")
    assert [(event.channel, event.metadata["by"]) for event in interrupts] == [("caller", "agent")]


def test_a_clean_call_has_no_echo() -> None:
    quiet = to_samples(channel(MS, CALLER, 1), channel(MS, AGENT, 2))
    assert echoes(hear(quiet), State.OPENED) == []


def test_an_echo_is_over_after_20_s_of_the_others_speech_without_it() -> None:
    first = returning(120, 14, CALLER, AGENT)
    monologue = [(200, 27_000)]
    then = to_samples(channel(28_000, monologue, 5), channel(28_000, [], 6))
    opened = echoes(hear(np.concatenate([first, then])))
    assert len(opened) == 1
    assert opened[0].timestamp + opened[0].duration <= len(first) // 8 + 6000
    assert abs(opened[0].metadata["erlDb"] - 14) <= 6


def test_the_same_sound_on_both_channels_is_one_party_on_the_louder_one() -> None:
    sound = channel(MS, CALLER, 1)
    for gains, speaker in (((1.0, 1.0), "caller"), ((0.4, 1.0), "agent")):
        bank = bank_of("c")
        bank.push("c", to_samples(sound * gains[0], sound * gains[1]))
        found = bank.close("c")
        assert {f.event.type for f in found} <= {"excessive_silence", "volume_inconsistency", "background_noise"}
        talk = bank.stats("c").talk_ms
        assert talk[speaker] >= 8000
        assert sum(talk.values()) == talk[speaker]


def test_lost_audio_is_no_echo_and_hides_none() -> None:
    samples = returning(120, 14, CALLER, AGENT)
    bank = bank_of("c")
    for number, start in enumerate(range(0, len(samples), 4000)):
        piece = samples[start : start + 4000]
        bank.push("c", piece[:, 0], 0)
        if number % 3 == 1:
            bank.gap("c", 400, 1)
            bank.push("c", piece[400:, 1], 1)
        else:
            bank.push("c", piece[:, 1], 1)
    found = [finding for _, finding in bank.tick()] + bank.close("c")
    assert [anomaly.channel for anomaly in echoes(found)] == ["agent"]
    assert abs(echoes(found)[0].metadata["delayMs"] - 120) <= 20


@settings(deadline=None, max_examples=3)
@given(SIZES, st.integers(1, 10))
def test_echoes_are_the_same_however_audio_is_cut(sizes: list[int], every: int) -> None:
    samples = returning(180, 16, CALLER, AGENT)
    bank = bank_of("c")
    found = []
    at = 0
    for number, size in enumerate(cycle(sizes)):
        if at >= len(samples):
            break
        bank.push("c", samples[at : at + size])
        at += size
        if number % every == 0:
            found += [finding for _, finding in bank.tick()]
    assert found + bank.close("c") == found_in_echo()


def test_echoes_are_the_same_whoever_else_calls() -> None:
    bank = CallBank(vad=LevelVad())
    calls = {f"{delay_ms}": returning(delay_ms, 16, CALLER, AGENT) for delay_ms in range(60, 360, 24)}
    calls["180"] = returning(180, 16, CALLER, AGENT)
    found: dict[str, list[Finding]] = {}
    for number, (call_id, samples) in enumerate(calls.items()):
        bank.open(call_id)
        bank.push(call_id, samples[: 137 * number])  # none at the same place as another
        found[call_id] = []
    for start in range(0, MS * 8 + 1600, 1600):
        for number, (call_id, samples) in enumerate(calls.items()):
            bank.push(call_id, samples[start + 137 * number : start + 1600 + 137 * number])
        for call_id, finding in bank.tick():
            found[call_id].append(finding)
    assert found["180"] + bank.close("180") == found_in_echo()
