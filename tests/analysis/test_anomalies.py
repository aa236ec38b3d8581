"""Anomalies: what is wrong with the audio itself, found, explained, and not where there is nothing."""

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis import CallAnalyzer, CallBank, Finding
from analysis.audio import Encoding, decode, open_recording
from analysis.findings import Anomaly, Heard, State
from tests.analysis.voices import (
    RATE_HZ,
    SPEECH_DBOV,
    LevelVad,
    amplitude,
    bank_of,
    channel,
    closed,
    hear,
    room,
    to_samples,
)

REAL_CALL = Path(__file__).parents[3] / "shared" / "data" / "real-call.wav"
MS = 30_000
CALLER = [(300, 9000), (10_000, 18_000), (19_500, 28_500)]
AGENT = [(9300, 9900), (18_300, 19_300)]

SOFTER = 10 ** (-8 / 20)
"""Brings noise that is not far below the voice to where these tests' activity does not take it for speech."""

Sound = NDArray[np.float64]


def anomalies(findings: list[Finding]) -> list[Anomaly]:
    """Every anomaly in its final form."""
    return [f.event for f in findings if f.state is State.CLOSED and isinstance(f.event, Anomaly)]


def heard(caller: Sound, agent: Sound | None = None) -> list[Anomaly]:
    """The anomalies of a call of 30 s."""
    return anomalies(hear(to_samples(caller, channel(MS, AGENT, 2) if agent is None else agent)))


def heard_each(*calls: np.ndarray) -> list[list[Anomaly]]:
    """The anomalies of each of some calls."""
    return [[event for event in found if isinstance(event, Anomaly)] for found in heard_of_each(*calls)]


def heard_of_each(*calls: np.ndarray) -> list[list[Heard]]:
    """All that is found in each of some calls, in its final form; they are heard together as that is quicker."""
    bank = CallBank(vad=LevelVad())
    found: dict[str, list[Finding]] = {str(number): [] for number in range(len(calls))}
    for call_id, samples in zip(found, calls, strict=True):
        bank.open(call_id)
        bank.push(call_id, samples)
    for call_id, finding in bank.tick():
        found[call_id].append(finding)
    return [closed(findings + bank.close(call_id)) for call_id, findings in found.items()]


def beside_an_agent(*callers: Sound) -> list[np.ndarray]:
    """Calls of these callers with the same agent."""
    agent = channel(MS, AGENT, 2)
    return [to_samples(caller, agent) for caller in callers]


def of_type(type: str, found: list[Anomaly]) -> list[Anomaly]:
    return [anomaly for anomaly in found if anomaly.type == type]


def voice(seed: int = 1) -> Sound:
    return channel(MS, CALLER, seed)


def lossy(sound: Sound, fill: str, holes: list[tuple[int, int]]) -> Sound:
    """The sound with packets of 20 ms replaced from..to, ms."""
    samples = np.rint(sound)
    for start, end in holes:
        for at in range(start * 8, end * 8, 160):
            samples[at : at + 160] = 0 if fill == "zero" else samples[at - 160 : at]
    return samples


def quieter(sound: Sound, from_ms: int, to_ms: int, gain_db: float) -> Sound:
    changed = sound.copy()
    changed[from_ms * 8 : to_ms * 8] *= 10 ** (gain_db / 20)
    return changed


def test_a_clean_call_has_none() -> None:
    assert heard(voice()) == []


HOLES = [(1000, 1020), (3500, 3540), (11_000, 11_100), (20_200, 20_220)]


def test_lost_packets_are_dropouts_each_at_its_place_wherever_they_lie_in_the_engines_frames() -> None:
    early = [lossy(voice(), fill, HOLES) for fill in ("zero", "repeat")]
    late = [np.concatenate([room(7, 5), sound])[: MS * 8] for sound in early]
    for number, (found, *more) in enumerate(heard_each(*beside_an_agent(*early, *late))):
        later = 7 * (number >= len(early))
        assert more == []
        assert (found.type, found.channel, found.severity) == ("dropouts", "caller", "low")
        assert (found.metadata["count"], found.timestamp) == (4, 3000), "then 40 ms of the last minute were lost"
        for heard_at, (start, end) in zip(found.metadata["intervals"], HOLES, strict=True):
            assert heard_at == [pytest.approx(start + later, abs=10), pytest.approx(end + later, abs=10)]
        assert f"{found.metadata['lostMs']} ms" in found.description


def test_more_lost_time_raises_the_severity() -> None:
    holes = [(at, at + 60) for at in range(1000, 8000, 500)]
    found = hear(to_samples(lossy(voice(), "zero", holes), channel(MS, AGENT, 2)))
    assert [(f.state, f.event.severity) for f in found if f.event.type == "dropouts"] == [
        (State.OPENED, "low"),
        (State.RAISED, "medium"),
        (State.CLOSED, "medium"),
    ]


def test_a_channel_that_falls_silent_by_itself_loses_nothing() -> None:
    gated = voice()
    for at, length in zip(range(1000, 8000, 500), cycle([333, 507, 781, 1023]), strict=False):
        gated[at * 8 : at * 8 + length] = 0
    assert heard(gated) == []


def test_a_tone_whose_period_fits_into_a_packet_is_no_stutter() -> None:
    ring = voice()
    at = np.arange(400 * 8)
    for start in (21_000, 21_600, 24_000, 24_600):
        ring[start * 8 : start * 8 + len(at)] = 3000 * np.rint(np.sin(np.pi * at / 10) + np.sin(np.pi * at * 9 / 80))
    assert [a for a in heard(ring) if a.type == "dropouts"] == []


def test_what_the_stream_itself_misses_amid_speech_is_lost_and_in_a_pause_it_is_not() -> None:
    samples = to_samples(voice(), channel(MS, AGENT, 2))
    for at, types in ((3000, ["dropouts"]), (9300, [])):
        bank = bank_of("c")
        bank.push("c", samples[: at * 8])
        bank.gap("c", 100 * 8, 0)
        bank.push("c", samples[at * 8 : (at + 100) * 8, 1], 1)
        bank.push("c", samples[(at + 100) * 8 :])
        found = anomalies([f for _, f in bank.tick()] + bank.close("c"))
        assert [a.type for a in found] == types
        assert [a.metadata["intervals"] for a in found] == [[[at, at + 100]]] * len(found)


def test_speech_that_is_cut_off_at_the_top_is_distorted_in_g711_too() -> None:
    limit = amplitude(SPEECH_DBOV) * 1.5
    (samples,) = beside_an_agent(np.clip(voice(), -limit, limit))
    coded = decode(encode(samples, Encoding.MULAW), Encoding.MULAW).reshape(-1, 2)
    for (found,) in heard_each(samples, coded):
        assert (found.type, found.channel, found.severity) == ("distortion", "caller", "high")
        assert 0.02 < found.metadata["clippedShare"] < 0.3


def test_speech_at_the_rails_is_distorted_and_below_them_it_is_not() -> None:
    at_rails, below = (voice() * 10 ** ((level - SPEECH_DBOV) / 20) for level in (-9, -15))
    first, second = heard_each(*beside_an_agent(at_rails, below))
    assert [a.channel for a in of_type("distortion", first)] == ["caller"]
    assert of_type("distortion", second) == []


def test_noise_that_is_not_far_below_the_voice_is_told_with_its_distance() -> None:
    expected = {28: [], 17: ["low"], 12: ["medium"]}
    noisy = [(voice() + room(MS, 9, SPEECH_DBOV - snr_db)) * SOFTER for snr_db in expected]
    for (snr_db, severities), found in zip(expected.items(), heard_each(*beside_an_agent(*noisy)), strict=True):
        noises = of_type("background_noise", found)
        assert [(a.channel, a.severity) for a in noises] == [("caller", severity) for severity in severities]
        assert all(abs(a.metadata["snrDb"] - snr_db) < 3 for a in noises)


def test_the_others_voice_and_its_echo_are_no_noise() -> None:
    echo = np.concatenate([np.zeros(800), voice() * 0.1])[: MS * 8]
    agent = channel(MS, [(9300, 9900), (18_300, 19_300), (28_600, 29_500)], 2) + echo
    assert [a for a in heard(voice(), agent) if a.type == "background_noise"] == []


def test_a_party_who_becomes_far_quieter_is_told_of_and_so_is_one_who_is_it_all_along() -> None:
    long = np.concatenate([voice(), voice(3), quieter(voice(4), 0, MS, -14)])
    agent = np.concatenate([channel(MS, AGENT, seed) for seed in (2, 5, 6)])
    (found,) = anomalies(hear(to_samples(long, agent)))
    assert (found.type, found.channel, found.severity) == ("volume_inconsistency", "caller", "low")
    assert 60_000 < found.timestamp <= 70_000
    assert "quieter" in found.description
    loud = channel(MS, [(300, 4000), (8000, 14_000), (20_000, 26_000)], 2) * 2.2
    soft = channel(MS, [(4500, 7500), (14_500, 19_500), (26_500, 29_500)], 5) * 0.22
    both = [loud, soft]
    assert [(a.type, a.channel, a.severity) for a in heard(*both)] == [("volume_inconsistency", "agent", "medium")]


def test_a_minute_in_which_hardly_anybody_talks_is_told_of_once() -> None:
    quiet = [channel(90_000, spurts, seed) for seed, spurts in ((1, [(1000, 9000)]), (2, [(9500, 14_000)]))]
    (found,) = [a for a in anomalies(hear(to_samples(*quiet))) if a.type == "excessive_silence"]
    assert (found.channel, found.severity, found.timestamp) == ("all", "high", 59_000)
    assert found.timestamp + found.duration == 90_000
    busy = [channel(70_000, [(at, at + 2500) for at in range(first, 68_000, 6000)], 1) for first in (500, 3200)]
    assert [a for a in anomalies(hear(to_samples(*busy))) if a.type == "excessive_silence"] == []


def encode(samples: np.ndarray, encoding: Encoding) -> bytes:
    """G.711 by the nearest code."""
    values = decode(bytes(range(256)), encoding).astype(np.int64)
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1]) / 2
    return order[np.searchsorted(middles, samples.reshape(-1))].astype(np.uint8).tobytes()


MISREADINGS: list[tuple[Encoding | str, Encoding | str, str]] = [
    (Encoding.MULAW, "<i2", "µ-law"),
    (Encoding.ALAW, "<i2", "A-law"),
    ("<i2", ">i2", "byte order"),
    ("<i2", Encoding.MULAW, "16-bit PCM"),
    ("<i2", Encoding.ALAW, "16-bit PCM"),
    (Encoding.ALAW, Encoding.MULAW, "A-law"),
    (Encoding.MULAW, Encoding.ALAW, "µ-law"),
]


def misread(sound: np.ndarray, written: Encoding | str, read: Encoding | str) -> np.ndarray:
    data = encode(sound, written) if isinstance(written, Encoding) else sound.astype(written).tobytes()
    return decode(data, read) if isinstance(read, Encoding) else np.frombuffer(data, dtype=read).astype(np.int16)


def test_audio_in_another_format_is_the_one_thing_that_is_said_of_its_channel_after_a_second() -> None:
    sound, agent = to_samples(voice()), to_samples(channel(MS, AGENT, 2))
    calls = []
    for written, read, _ in MISREADINGS:
        wrong = misread(sound, written, read)
        calls.append(np.column_stack([wrong[: len(agent)], agent[: len(wrong)]]))
    for (found, *more), (_, _, named) in zip(heard_each(*calls), MISREADINGS, strict=True):
        assert more == []
        assert (found.type, found.channel, found.severity, found.timestamp) == ("wrong_format", "caller", "high", 0)
        assert found.detected_at <= 1100
        assert named in found.description
        assert named in found.recommendation


def in_another_byte_order(sound: Sound) -> np.ndarray:
    return misread(to_samples(sound), "<i2", ">i2").astype(np.float64)


def test_while_a_channel_is_in_another_format_nobody_is_said_to_be_silent() -> None:
    brief = channel(9000, [(500, 3000)], 2)
    wrong, wrong_and_brief = in_another_byte_order(voice()[: 9000 * 8]), in_another_byte_order(brief)
    for found in heard_of_each(to_samples(wrong, brief), to_samples(brief, wrong_and_brief), to_samples(wrong, wrong)):
        assert {event.type for event in found} == {"wrong_format"}


def test_a_pause_ends_where_audio_in_another_format_begins_and_counts_anew_after_it() -> None:
    before, after = channel(6000, [(500, 1000)], 1), channel(10_000, [(500, 5000)], 3)
    caller = np.concatenate([before, in_another_byte_order(voice()[: 5000 * 8]), after])
    found = closed(hear(to_samples(caller, room(21_000, 4))), "wrong_format", "long_pause")
    assert [(event.type, event.timestamp, event.duration) for event in found] == [
        ("long_pause", 1000, 5000),
        ("wrong_format", 6000, 6000),
        ("long_pause", 16_000, 5000),
    ]


def test_loud_noise_is_no_wrong_format_but_evenly_spread_bytes_are() -> None:
    rng = np.random.default_rng(3)
    noise = np.clip(room(4000, 3, -6), -32768, 32767)
    assert [a for a in heard(noise, room(4000)) if a.type == "wrong_format"] == []
    (found,) = heard(rng.integers(-32768, 32768, 4000 * 8).astype(np.float64), room(4000))
    assert found.type == "wrong_format"
    assert "compressed" in found.description


def damaged() -> np.ndarray:
    """A call with most kinds of anomalies in it."""
    noisy = (voice() + room(MS, 9, SPEECH_DBOV - 16)) * SOFTER
    caller = lossy(noisy, "zero", [(at, at + 40) for at in range(1000, 8000, 900)])
    caller = lossy(caller, "repeat", [(at, at + 20) for at in range(11_000, 17_000, 700)])
    limit = amplitude(SPEECH_DBOV) * 1.5
    agent = np.clip(channel(MS, [(200, 8000), (12_000, 20_000)], 2), -limit, limit)
    agent[22_000 * 8 : 26_000 * 8] = np.random.default_rng(4).integers(-32768, 32768, 4000 * 8)
    return to_samples(caller, agent)


DAMAGED = damaged()
EXPECTED = hear(DAMAGED)


def test_the_call_of_these_tests_is_damaged() -> None:
    assert {a.type for a in anomalies(EXPECTED)} == {"dropouts", "background_noise", "distortion", "wrong_format"}


@settings(deadline=None, max_examples=6)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=5))
def test_they_do_not_depend_on_how_audio_was_cut(sizes: list[int]) -> None:
    bank = bank_of("c")
    found: list[Finding] = []
    at = 0
    for size in cycle(sizes):
        bank.push("c", DAMAGED[at : at + size])
        found += [finding for _, finding in bank.tick()]
        at += size
        if at >= len(DAMAGED):
            break
    assert found + bank.close("c") == EXPECTED


def test_they_do_not_depend_on_the_other_calls_of_the_bank() -> None:
    bank = CallBank(vad=LevelVad())
    found: dict[str, list[Finding]] = {str(number): [] for number in range(11)}
    for call_id in found:
        bank.open(call_id)
    for step in range(0, len(DAMAGED) + 11 * 1111, 8000):
        for number, call_id in enumerate(found):
            at = max(0, step - number * 1111)
            bank.push(call_id, DAMAGED[at : max(at, step + 8000 - number * 1111)])
        for call_id, finding in bank.tick():
            found[call_id].append(finding)
    for call_id, findings in found.items():
        assert findings + bank.close(call_id) == EXPECTED


def test_each_is_opened_and_closed_once_by_a_key_of_its_own_and_says_what_to_do() -> None:
    mine = [f for f in EXPECTED if isinstance(f.event, Anomaly)]
    for key in {f.key for f in mine}:
        states = [f.state for f in mine if f.key == key]
        assert states[0] is State.OPENED
        assert states[-1] is State.CLOSED
        assert states.count(State.OPENED) == states.count(State.CLOSED) == 1
    for anomaly in anomalies(EXPECTED):
        assert 0 < anomaly.confidence < 1
        assert anomaly.description.endswith(".")
        assert anomaly.recommendation.endswith(".")
        assert anomaly.record()["record"] == "anomaly"


@pytest.mark.skipif(not REAL_CALL.exists(), reason=f"{REAL_CALL} is not here")
def test_a_real_call_that_is_clipped_on_both_channels_is_distorted_and_nothing_else() -> None:
    recording = open_recording(REAL_CALL)
    samples = decode(b"".join(recording.blocks(5000)), recording.encoding).reshape(-1, 2)
    assert recording.sample_rate == RATE_HZ
    analyzer = CallAnalyzer()
    found = analyzer.push(samples) + analyzer.finish()
    assert sorted((a.type, a.channel) for a in anomalies(found)) == [
        ("distortion", "agent"),
        ("distortion", "caller"),
    ]
