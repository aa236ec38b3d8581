"""What counts as speech to the engine's own ears, whatever the line does meanwhile."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import CallBank
from analysis.frames import FrameLog
from tests.analysis.voices import amplitude, babble, channel, room, talk, to_samples

Sound = NDArray[np.float64]


def heard(sound: Sound, rate_hz: int = 8000) -> list[tuple[int, int]]:
    """The talkspurts of one channel, from..to in ms."""
    log = FrameLog(1)
    bank = CallBank(observers=[log])
    bank.open("c", rate_hz, ("mixed",))
    bank.push("c", to_samples(sound))
    bank.close("c")
    return [(20 * start, 20 * end) for (start, end) in log.talkspurts(0)]


def assert_near(spurts: list[tuple[int, int]], truth: list[tuple[int, int]]) -> None:
    """As many talkspurts, their starts within 60 ms and their ends within 120 ms."""
    assert len(spurts) == len(truth), spurts
    for (start, end), (from_ms, to_ms) in zip(spurts, truth, strict=True):
        assert abs(start - from_ms) <= 60
        assert abs(end - to_ms) <= 120


def talk_ms(sound: Sound) -> int:
    return sum(end - start for start, end in heard(sound))


def tone(frequencies_hz: tuple[int, ...], on_ms: int, off_ms: int, ms: int) -> Sound:
    time_s = np.arange(on_ms * 8) / 8000
    sound = np.sum([np.sin(2 * np.pi * hz * time_s) for hz in frequencies_hz], axis=0) * amplitude(-18)
    return np.resize(np.concatenate([sound, np.zeros(off_ms * 8)]), ms * 8)


@pytest.mark.parametrize("level_dbov", [-45, -30, -12])
def test_speech_is_heard_at_any_level_from_its_first_60_ms_on(level_dbov: float) -> None:
    sound = room(8000, 5, -68)
    for start, end in ((1000, 2500), (4000, 6000)):
        sound[start * 8 : end * 8] += talk(end - start, start, level_dbov)
    assert_near(heard(sound), [(1000, 2500), (4000, 6000)])


def test_who_speaks_from_the_very_first_sample_is_heard() -> None:
    assert_near(heard(np.concatenate([talk(3000, 2) + room(3000), room(2000)])), [(0, 3000)])


def test_wideband_speech_is_heard_by_the_same_ears() -> None:
    sound = np.concatenate(
        [room(1000, 1, rate_hz=16_000), talk(2000, 1, rate_hz=16_000), room(1000, 2, rate_hz=16_000)]
    )
    assert_near(heard(sound, 16_000), [(1000, 3000)])


def test_speech_is_heard_10_db_over_the_noise() -> None:
    sound = channel(12_000, [(2000, 5000), (7000, 9000)], voice=talk) + babble(12_000, 9, -32)
    assert 4600 <= talk_ms(sound) <= 5500


def test_speech_between_digital_silence_is_heard() -> None:
    sound = np.zeros(12_000 * 8)
    sound[3000 * 8 : 5000 * 8] = talk(2000)
    sound[8000 * 8 : 9000 * 8] = talk(1000)
    assert 2900 <= talk_ms(sound) <= 3200


def test_a_constant_offset_is_no_hindrance() -> None:
    sound = channel(6000, [(2000, 3000)], voice=talk)
    assert_near(heard(sound + np.rint(amplitude(-25))), [(2000, 3000)])


@pytest.mark.parametrize("level_dbov", [-68, -50, -25])
def test_steady_noise_is_no_speech_however_loud(level_dbov: float) -> None:
    assert talk_ms(room(8000, 1, level_dbov)) <= 160
    assert talk_ms(babble(8000, 2, level_dbov)) <= 300


def test_a_burst_of_hiss_is_no_speech() -> None:
    sound = room(6000)
    sound[16_000:24_000] = room(1000, 3, level_dbov=-20)
    assert talk_ms(sound) <= 500


def test_clicks_are_no_speech() -> None:
    sound = room(10_000, 3, -60)
    for start in range(4000, 80_000, 3000):
        sound[start : start + 40] += 8000.0 * np.exp(-np.arange(40) / 8)
    assert talk_ms(sound) == 0


def test_lost_packets_do_not_turn_the_noise_after_them_into_speech() -> None:
    sound = babble(10_000, 4, -45)
    for start in range(1000, 9000, 700):
        sound[start * 8 : (start + 60) * 8] = 0
    assert talk_ms(sound) <= 500


@pytest.mark.parametrize(
    ("frequencies_hz", "on_ms", "off_ms"),
    [
        ((440, 480), 2000, 4000),
        ((425,), 500, 500),
        ((350, 440), 20_000, 0),
        ((770, 1336), 100, 100),
        ((1100,), 500, 3000),
    ],
    ids=["ringback", "busy", "dial tone", "digits", "fax"],
)
def test_a_telephones_tones_are_no_speech(frequencies_hz: tuple[int, ...], on_ms: int, off_ms: int) -> None:
    sound = tone(frequencies_hz, on_ms, off_ms, 20_000) + room(20_000)
    assert talk_ms(sound) <= 20_000 * 0.05
