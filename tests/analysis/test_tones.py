"""Tones of the telephone are no speech, and voices are no tones."""

import numpy as np
import pytest

from analysis import CallBank
from tests.analysis.sounds import Sound, cadence, dtmf, silence, sines
from tests.analysis.voices import LevelVad, channel, closed, hear, room, to_samples

TONES = {
    "dial, Europe": sines(4000, 425),
    "dial, US": sines(4000, 350, 440),
    "ringback, Europe": cadence(6000, 1000, 4000, 425),
    "ringback, US": cadence(6000, 2000, 4000, 440, 480),
    "ringback, UK": cadence(4000, 400, 200, 400, 450),
    "busy, Europe": cadence(4000, 480, 480, 425),
    "busy, US": cadence(4000, 500, 500, 480, 620),
    "congestion": cadence(3000, 250, 250, 480, 620),
    "information": np.concatenate([sines(330, 950), sines(330, 1400), sines(330, 1800)]),
    "keys of 50 ms": dtmf(16, 50, 50),
    "keys of 70 ms": dtmf(16, 70, 210),
    "keys of 100 ms": dtmf(16, 100, 100),
}


def talk_ms(sound: Sound) -> int:
    """Talk in a mono call whose speech is told by its level, so that every sound is speech if it is no tone."""
    bank = CallBank(vad=LevelVad())
    bank.open("c", channels=("mixed",))
    bank.push("c", to_samples(sound))
    bank.close("c")
    return bank.stats("c").talk_ms["mixed"]


@pytest.mark.parametrize("name", TONES)
def test_a_tone_is_no_speech(name: str) -> None:
    tone = TONES[name]
    sound = np.concatenate([silence(1000), tone, silence(1000)])
    sounding_ms = 20 * np.count_nonzero(np.abs(tone[: len(tone) // 160 * 160]).reshape(-1, 160).max(axis=1))
    assert talk_ms(sound + room(len(sound) // 8)) <= 0.05 * sounding_ms


def test_keys_in_a_conversation_are_heard_around() -> None:
    sound: Sound = channel(9000, [(1000, 3000), (6000, 8000)])
    keys = dtmf(5, 80, 120)
    sound[4000 * 8 : 4000 * 8 + len(keys)] += keys
    assert abs(talk_ms(sound) - 4000) <= 40


@pytest.mark.parametrize("name", [name for name in TONES if "keys" in name or "congestion" in name])
def test_silence_between_tones_is_no_lost_packet(name: str) -> None:
    sound = np.concatenate([channel(9000, [(1000, 8000)]), *[TONES[name]] * 3, channel(9000, [(1000, 8000)])])
    assert closed(hear(to_samples(sound), ("mixed",)), "dropouts") == []


def test_a_voice_that_glides_is_no_tone() -> None:
    time_s = np.arange(3 * 8000) / 8000
    glide_hz = 140 + 40 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = 2 * np.pi * np.cumsum(glide_hz) / 8000
    voice = np.sum([np.sin(n * phase) / n for n in range(1, 15)], axis=0) * 3000
    sound = room(6000)
    sound[8000 : 8000 + len(voice)] += voice * (1 + np.sin(2 * np.pi * 4 * time_s)) / 2
    assert talk_ms(sound) >= 2500
