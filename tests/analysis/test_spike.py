"""Volume spikes: sudden, sustained, and measured against the channel's own speech."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis import CallBank, Finding
from analysis.detectors.spike import SpikeThresholds
from analysis.findings import State
from analysis.listener import Thresholds
from benchmarks import definitions
from benchmarks.scoring import Score, Span, score
from tests.analysis.voices import SPEECH_DBOV, LevelVad, babble, channel, closed, hear, room, to_samples

SPURTS = [(500, 4500), (5000, 9000), (9500, 13_500)]


def louder(from_ms: int, to_ms: int, gain_db: float) -> NDArray[np.float64]:
    sound = channel(14_000, SPURTS)
    sound[from_ms * 8 : to_ms * 8] = babble(to_ms - from_ms, 7, SPEECH_DBOV + gain_db)
    return sound


def spikes(*sounds: NDArray[np.float64]) -> list[Finding]:
    names = ("caller", "agent")[: len(sounds)]
    return [f for f in hear(to_samples(*sounds), names) if f.event.type == "volume_spike"]


def test_a_burst_12_db_over_the_usual_is_a_spike() -> None:
    found = spikes(channel(14_000, []), louder(6000, 6600, 12))
    (event,) = closed(found)
    assert (event.channel, event.severity) == ("agent", "medium")
    assert abs(event.timestamp - 6000) <= 100
    assert abs(event.timestamp + event.duration - 6600) <= 100
    assert 11 <= event.metadata["gainDb"] <= 13.5
    assert abs(event.metadata["level"] - 10 ** ((SPEECH_DBOV + 12) / 20)) < 0.05
    assert [f.state for f in found] == [State.OPENED, State.CLOSED]


def test_16_db_make_it_high() -> None:
    (event,) = closed(spikes(louder(6000, 6600, 19)))
    assert event.severity == "high"


def test_8_db_are_none() -> None:
    assert spikes(louder(6000, 6600, 8)) == []


def test_it_needs_one_and_a_half_seconds_of_speech_before() -> None:
    assert spikes(louder(1500, 1900, 15)) == []


def test_a_second_burst_within_2_s_is_no_second_spike() -> None:
    sound = louder(6000, 6400, 14)
    sound[7500 * 8 : 7900 * 8] = babble(400, 8, SPEECH_DBOV + 14)
    assert len(closed(spikes(sound))) == 1


def test_one_after_2_s_is() -> None:
    sound = louder(6000, 6400, 14)
    sound[8600 * 8 : 8900 * 8] = babble(300, 8, SPEECH_DBOV + 14)
    found = closed(spikes(sound))
    assert len(found) == 2
    assert abs(found[1].timestamp - 8600) <= 100


def test_a_burst_too_short_to_be_one_does_not_hide_the_next() -> None:
    sound = louder(6000, 6060, 14)
    sound[7000 * 8 : 7400 * 8] = babble(400, 8, SPEECH_DBOV + 14)
    (event,) = closed(spikes(sound))
    assert abs(event.timestamp - 7000) <= 100


def test_a_spike_that_lasts_to_the_end_is_closed_with_the_call() -> None:
    found = spikes(louder(13_000, 14_000, 14))
    assert [f.state for f in found] == [State.OPENED, State.CLOSED]
    assert found[-1].event.timestamp + found[-1].event.duration == 14_000


pieces_of_speech = st.lists(
    st.tuples(st.integers(1, 9), st.integers(3, 40), st.sampled_from([-34, -31, -28, -24, -20, -14])),
    min_size=3,
    max_size=12,
)


@settings(deadline=None, max_examples=12)
@given(pieces_of_speech)
@example([(1, 7, -28), (1, 21, -34), (1, 30, -28), (9, 17, -34), (4, 23, -28), (3, 16, -34), (1, 18, -20), (1, 5, -14)])
@example([(1, 15, -34), (1, 32, -34), (9, 22, -24), (1, 7, -20)])
def test_spikes_are_those_of_the_definition(pieces: list[tuple[int, int, int]]) -> None:
    sound = [room(400)]
    for number, (gap, length, level_dbov) in enumerate(pieces):
        sound += [room(20 * gap, number), babble(20 * length, number, level_dbov)]
    samples = to_samples(np.concatenate(sound))
    bank = CallBank(Thresholds(spike=SpikeThresholds(renew_every_frames=1)), LevelVad())
    bank.open("c", channels=("mixed",))
    bank.push("c", samples)
    found = closed([finding for _, finding in bank.tick()] + bank.close("c"), "volume_spike")

    power = np.mean((samples[:, 0] / 32768).reshape(-1, 160) ** 2, axis=1)
    active = np.zeros(len(power), bool)
    for start, end in definitions.merged(definitions.runs(power > 1e-4, 20), 200):
        active[start // 20 : end // 20] = True
    labels = definitions.volume_spikes(power, active, doubt_ms=21, doubt_db=0.3)
    spans = [Span(event.type, event.channel, event.timestamp, event.timestamp + event.duration) for event in found]
    (result, *_) = score(spans, [Span("volume_spike", "mixed", *label) for label in labels]).values() or [Score()]
    assert (result.misses, result.false) == (0, 0)
