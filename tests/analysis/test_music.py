"""Music for who waits is a hold, and neither speech nor a pause."""

from itertools import cycle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.sounds import music
from tests.analysis.test_silence import silences
from tests.analysis.voices import Samples, babble, bank_of, call, channel, closed, hear, room, to_samples

MUSIC_FROM_MS, MUSIC_TO_MS, MS = 6000, 24_000, 30_000


def held() -> Samples:
    """The agent speaks, plays music, and speaks again."""
    samples = call(MS, [(600, 1500), (25_500, 27_000)], [(2000, 4800), (27_200, 29_000)]).astype(np.float64)
    samples[MUSIC_FROM_MS * 8 : MUSIC_TO_MS * 8, 1] += music(MUSIC_TO_MS - MUSIC_FROM_MS)
    return to_samples(samples[:, 0], samples[:, 1])


SAMPLES = held()
FOUND = hear(SAMPLES)


def test_music_is_a_hold_from_its_beginning_to_its_end() -> None:
    ((kind, channel_name, onset, duration, severity),) = silences(FOUND)
    assert (kind, channel_name, severity) == ("hold", "agent", "low")
    assert abs(onset - MUSIC_FROM_MS) <= 500
    assert abs(onset + duration - MUSIC_TO_MS) <= 500


def test_a_hold_is_no_pause() -> None:
    assert closed(FOUND, "long_pause") == []


def test_music_is_no_speech_once_it_is_known() -> None:
    bank = bank_of("c")
    bank.push("c", SAMPLES[: (MUSIC_FROM_MS + 9000) * 8])
    bank.tick()
    before = bank.stats("c").talk_ms["agent"]
    bank.push("c", SAMPLES[(MUSIC_FROM_MS + 9000) * 8 : MUSIC_TO_MS * 8])
    bank.tick()
    assert bank.stats("c").talk_ms["agent"] - before <= 0.1 * (MUSIC_TO_MS - MUSIC_FROM_MS - 9000)


def test_who_comes_back_from_a_hold_is_heard() -> None:
    bank = bank_of("c")
    bank.push("c", SAMPLES[: MUSIC_TO_MS * 8])
    bank.tick()
    before = bank.stats("c").talk_ms["agent"]
    bank.push("c", SAMPLES[MUSIC_TO_MS * 8 :])
    bank.close("c")
    assert abs(bank.stats("c").talk_ms["agent"] - before - 1800) <= 100


def test_mono_calls_know_holds() -> None:
    sound = channel(20_000, [(500, 2500)])
    sound[4000 * 8 : 18_000 * 8] += music(14_000)
    assert [kind for kind, *_ in silences(hear(to_samples(sound), channels=("mixed",)))] == ["hold"]


def test_speech_and_noise_are_no_hold() -> None:
    talk = channel(20_000, [(start, start + 2600) for start in range(300, 17_000, 3000)], 3)
    for sound in (talk + babble(20_000, 9, -45), babble(20_000, 5, -30)):
        found = hear(to_samples(sound), channels=("mixed",))
        assert "hold" not in [kind for kind, *_ in silences(found)]


def test_missing_audio_is_no_music() -> None:
    bank = bank_of("c")
    bank.push("c", SAMPLES[: 10_000 * 8])
    bank.gap("c", 20_000 * 8)
    found = [finding for _, finding in bank.tick()] + bank.close("c")
    assert "hold" not in [kind for kind, *_ in silences(found)]


SHORT = to_samples(room(15_000, 1), room(15_000, 2) + np.concatenate([np.zeros(16_000), music(13_000)]))
FOUND_SHORT = hear(SHORT)


def test_the_shorter_call_has_a_hold() -> None:
    assert [kind for kind, *_ in silences(FOUND_SHORT)] == ["hold"]


@settings(deadline=None, max_examples=3)
@given(st.lists(st.integers(500, 20_000), min_size=1, max_size=5), st.integers(1, 10))
def test_holds_are_the_same_however_audio_is_cut(sizes: list[int], every: int) -> None:
    bank = bank_of("c")
    found = []
    at = 0
    for number, size in enumerate(cycle(sizes)):
        if at >= len(SHORT):
            break
        bank.push("c", SHORT[at : at + size])
        at += size
        if number % every == 0:
            found += [finding for _, finding in bank.tick()]
    assert found + bank.close("c") == FOUND_SHORT
