"""What counts as speech: louder than the noise, shaped like a voice, whatever the line does meanwhile."""

import numpy as np
from numpy.typing import NDArray

from analysis import CallAnalyzer
from tests.analysis.voices import amplitude, babble, channel, room, speech, to_samples


def talk_ms(sound: NDArray[np.float64]) -> int:
    analyzer = CallAnalyzer(channels=("mixed",))
    analyzer.push(to_samples(sound))
    analyzer.finish()
    return analyzer.stats.talk_ms["mixed"]


def test_steady_noise_is_no_speech_however_loud() -> None:
    assert talk_ms(babble(8000, level_dbov=-25)) == 0


def test_hiss_is_no_speech_even_when_it_bursts() -> None:
    sound = room(6000)
    sound[16_000:24_000] = room(1000, 3, level_dbov=-20)
    assert talk_ms(sound) == 0


def test_a_noise_floor_that_rises_10_db_is_speech_for_3_s_at_most() -> None:
    sound = np.concatenate([babble(6000, 1, -62), babble(10_000, 2, -50)])
    assert talk_ms(sound) <= 3000


def test_speech_is_heard_10_db_over_the_noise() -> None:
    sound = channel(12_000, [(2000, 5000), (7000, 9000)]) + babble(12_000, 9, -32)
    assert 4600 <= talk_ms(sound) <= 5200


def test_speech_between_digital_silence_is_heard() -> None:
    sound = np.zeros(12_000 * 8)
    sound[3000 * 8 : 5000 * 8] = speech(2000)
    sound[8000 * 8 : 9000 * 8] = speech(1000)
    assert talk_ms(sound) == 3000


def test_lost_packets_do_not_turn_the_noise_after_them_into_speech() -> None:
    sound = babble(10_000, 4, -45)
    for start in range(1000, 9000, 700):
        sound[start * 8 : (start + 60) * 8] = 0
    assert talk_ms(sound) == 0


def test_a_constant_offset_is_no_sound() -> None:
    assert talk_ms(channel(6000, [(2000, 3000)]) + amplitude(-25)) == 1000
