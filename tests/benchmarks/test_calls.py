"""Labelled calls: the labels are true of the sound, the damage is what it says, and a seed gives the same call."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.audio import Encoding, decode
from benchmarks.calls import (
    IN_TURN,
    POLITE,
    SPEECH_DBOV,
    Damage,
    LabelledCall,
    Line,
    Phrase,
    Speaker,
    converse,
    mixed,
    render,
)
from benchmarks.definitions import runs
from benchmarks.impairments import Echo, Fill, Loss, Misreading, Step, clip, gain, level_dbov
from benchmarks.scoring import Span

HZ = 8000


def said(seconds: float, seed: int = 0) -> Phrase:
    """Noise that is active throughout."""
    hops = round(seconds * 100)
    noise = np.random.default_rng(seed).standard_normal(hops * 80) * gain(SPEECH_DBOV)
    return Phrase(noise, np.ones(hops, dtype=np.bool_))


def speakers() -> list[Speaker]:
    clips = [np.concatenate([np.zeros(800), said(2.0, seed).sound, np.zeros(800)]) for seed in range(4)]
    return [Speaker(clips[:2], HZ), Speaker(clips[2:], HZ)]


def call(lines: list[Line], damage: Damage | None = None, seconds: float = 10) -> LabelledCall:
    return render(lines, seconds, HZ, np.random.default_rng(1), damage)


def dbov(samples: NDArray[np.int16]) -> float:
    return level_dbov(samples / 32768)


def test_labels_follow_from_the_timeline() -> None:
    made = call([Line(0, 100, said(3)), Line(1, 300, said(2.5))])
    assert made.labels == [
        Span("overlap", "all", 3000, 4000),
        Span("interrupt", "caller", 3000, 4000),
        Span("long_pause", "all", 5500, 10_000),
        Span("speaker_change", "agent", 3000, 5000),
    ]
    assert runs(made.speech[0], 20) == [(1000, 4000)]
    assert dbov(made.samples[8000 * 2 : 8000 * 3, 0]) == pytest.approx(SPEECH_DBOV, abs=0.3)
    assert dbov(made.samples[: 8000 - 80, 0]) == pytest.approx(-68, abs=1)


def test_a_speaker_says_something_of_the_wanted_length_without_the_silence_around_clips() -> None:
    phrase = speakers()[0].say(5.0, np.random.default_rng(0))
    assert len(phrase) == len(phrase.sound) // 80 == 500
    assert phrase.active[0]
    assert phrase.active.mean() > 0.85
    with pytest.raises(ValueError, match="no speech"):
        Speaker([np.zeros(8000)], HZ)


def test_a_seed_gives_the_same_call_and_another_one_another() -> None:
    one, same, other = (
        render(converse(speakers(), 30, random), 30, HZ, random) for random in map(np.random.default_rng, (1, 1, 2))
    )
    assert np.array_equal(one.samples, same.samples)
    assert one.labels == same.labels
    assert not np.array_equal(one.samples, other.samples)


def test_polite_people_neither_overlap_nor_pause() -> None:
    random = np.random.default_rng(5)
    made = render(converse(speakers(), 120, random, POLITE), 120, HZ, random)
    assert {label.type for label in made.labels if label.type != "volume_spike"} == {"speaker_change"}


def test_in_mono_each_change_is_labelled_where_the_other_voice_begins() -> None:
    random = np.random.default_rng(6)
    lines = converse(speakers(), 60, random, IN_TURN)
    made = mixed(lines, 60, HZ, random)
    changes = [label.start for label in made.labels if label.type == "speaker_change"]
    assert made.samples.shape == (60 * HZ, 1)
    assert changes == [b.start * 10 for a, b in pairwise(lines) if a.channel != b.channel]


def test_an_echo_is_so_much_later_and_weaker_and_no_speech() -> None:
    made = call([Line(0, 100, said(3))], Damage(echo=Echo(channel=1, delay_ms=200, erl_db=20)))
    echo = made.samples[:, 1]
    assert dbov(echo[9600 + 800 : 9600 + 23_000]) == pytest.approx(SPEECH_DBOV - 20, abs=1.5)
    assert dbov(echo[:9500]) < -60
    assert not made.speech[1].any()


def test_noise_is_so_far_below_the_speech() -> None:
    made = call([], Damage(noise=lambda n, random: random.standard_normal(n), snr_db=10))
    assert dbov(made.samples[:, 0]) == pytest.approx(SPEECH_DBOV - 10, abs=0.3)


@pytest.mark.parametrize("fill", list(Fill))
def test_packets_are_lost_in_bursts_and_filled(fill: Fill) -> None:
    sound = said(200).sound
    before = sound.copy()
    lost = Loss(share=0.05, burst=2.0, fill=fill).apply(sound, HZ, np.random.default_rng(2))
    packets = sum(end - start for start, end in lost) / 20
    assert packets / 10_000 == pytest.approx(0.05, abs=0.01)
    assert packets / len(lost) == pytest.approx(2.0, abs=0.3)
    start, end = (edge * 8 for edge in lost[0])
    filled, earlier = sound[start : start + 160], before[start - 160 : start]
    assert {"zero": not filled.any(), "repeat": np.array_equal(filled, earlier), "comfort noise": filled.any()}[fill]
    assert np.array_equal(sound[end : lost[1][0] * 8], before[end : lost[1][0] * 8])


def test_an_overdriven_channel_is_clipped_at_full_scale() -> None:
    loud = clip(said(5).sound, by_db=6)
    assert np.abs(loud).max() == 1.0
    assert 0.0 < np.mean(np.abs(loud) == 1.0) < 0.2


def test_music_and_dead_air_are_labelled_as_such() -> None:
    music = said(6).sound
    held = call([Line(0, 0, said(1))], Damage(other=((1, 200, music),)))
    dead = call([Line(0, 0, said(9))], Damage(dead=((1, 100, 900),)))
    assert Span("silence/hold", "agent", 2000, 8000) in held.labels
    assert not any(label.type == "long_pause" for label in held.labels)
    assert not held.speech[1].any()
    assert Span("silence/digital", "agent", 1000, 9000) in dead.labels
    assert not dead.samples[8000:72_000, 1].any()


def test_a_step_changes_one_channels_level_from_a_time_on() -> None:
    made = call([Line(0, 0, said(10)), Line(1, 0, said(10, 1))], Damage(step=Step(1, 5, -14)))
    levels = [dbov(part) for part in (made.samples[:40_000, 1], made.samples[40_000:, 1], made.samples[40_000:, 0])]
    assert levels == pytest.approx([SPEECH_DBOV, SPEECH_DBOV - 14, SPEECH_DBOV], abs=0.3)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_misread_channel_has_the_bytes_of_the_right_one(encoding: Encoding) -> None:
    lines = [Line(0, 100, said(3)), Line(1, 100, said(3, 1))]
    right, wrong = call(lines).samples, call(lines, Damage(misread=Misreading(1, encoding))).samples
    assert np.array_equal(wrong[:, 0], right[:, 0])
    written = right[:, 1].tobytes()
    read = right[:, 1].byteswap() if encoding is Encoding.LINEAR16 else decode(written, encoding)[: len(right)]
    assert np.array_equal(wrong[:, 1], read)


def test_who_is_not_heard_because_the_channel_is_dead_is_no_sure_one_way_silence() -> None:
    lines = [Line(0, start, said(8)) for start in (0, 900, 1800)]
    for damage, sure in ((None, True), (Damage(dead=((1, 100, 2700),)), False)):
        made = call(lines, damage, seconds=27)
        assert [label.sure for label in made.labels if label.type == "silence/one_way"] == [sure]
