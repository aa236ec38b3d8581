"""How a channel sounds, told by its sound alone: the clean call of the samples, and what was done to it."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from analysis import CallBank
from analysis.audio import decode, open_recording
from analysis.emodel import mos
from analysis.findings import CallQuality
from analysis.quality import NetworkSample, QualityJudge, network_rating
from analysis.sound import Totals, rate
from analysis.spectrum import BANDS
from analysis.waveform import FRAME_UNITS
from tests.analysis.voices import RATE_HZ, Samples, room, to_samples

CALL = Path(__file__).parents[2] / "samples" / "call.wav"
WINDOW_MS = 5000
MOST_FRAMES = 250  # measured in two windows
GOOD, BAD = 2.0, 1.99
CLEAN_LINE, LOSSY_LINE = NetworkSample(loss_pct=0), NetworkSample(loss_pct=10)


@cache
def clean() -> Samples:
    recording = open_recording(CALL)
    return decode(b"".join(recording.blocks()), recording.encoding).reshape(-1, 2)


def qualities(samples: Samples, rate_hz: int = RATE_HZ) -> list[CallQuality | None]:
    """How a call is in each window."""
    bank = CallBank()
    bank.open("c", rate_hz, ("caller", "agent")[: samples.shape[1]])
    bank.push("c", samples)
    bank.tick()
    return [result.quality for _, result in bank.results]


def scores(samples: Samples, rate_hz: int = RATE_HZ) -> list[float]:
    return [quality.mos_score for quality in qualities(samples, rate_hz) if quality]


def noisy(samples: Samples, snr_db: float) -> Samples:
    power = np.mean(np.square(samples.astype(np.float64)[np.abs(samples) > 300]))
    noise = np.random.default_rng(5).standard_normal(samples.shape) * np.sqrt(power / 10 ** (snr_db / 10))
    return to_samples(*(samples + noise).T)


def clipped(samples: Samples) -> Samples:
    highest = np.abs(samples.astype(np.int32)).max() // 20
    return np.clip(samples, -highest, highest).astype(np.int16)


def test_a_clean_call_sounds_good() -> None:
    heard = [quality for quality in qualities(clean()) if quality]
    assert len(heard) >= len(clean()) * 1000 // RATE_HZ // WINDOW_MS - 1
    assert {quality.basis for quality in heard} == {"signal"}
    assert min(quality.mos_score for quality in heard) >= 3.3
    assert not any(quality.degraded for quality in heard)


def test_what_noise_and_clipping_do_is_heard() -> None:
    good = np.median(scores(clean()))
    for spoilt in (noisy(clean(), 5.0), clipped(clean())):
        assert np.median(scores(spoilt)) < good - 1


def test_a_call_in_loud_noise_is_degraded() -> None:
    heard = [quality.degraded for quality in qualities(noisy(clean(), 5.0)) if quality]
    assert heard[-1]


def test_more_noise_sounds_worse() -> None:
    heard = [np.median(scores(noisy(clean(), snr_db))) for snr_db in (30.0, 20.0, 10.0)]
    assert heard == sorted(heard, reverse=True)


def test_a_call_sounds_as_its_worst_channel_does() -> None:
    one_noisy = clean().copy()
    one_noisy[:, 1] = noisy(clean(), 5.0)[:, 1]
    both = scores(one_noisy)
    alone = [qualities(one_noisy[:, place : place + 1]) for place in range(2)]
    assert max(both[1:]) < 3
    assert len(both) >= max(sum(quality is not None for quality in channel) for channel in alone)


def test_of_a_call_without_speech_nothing_is_told() -> None:
    silent = to_samples(room(30_000), room(30_000, 1))
    assert qualities(silent) == [None] * 6


def test_two_seconds_of_speech_within_ten_are_needed() -> None:
    samples = to_samples(room(40_000), room(40_000, 1))
    spoken = clean()[: 9 * RATE_HZ]
    samples[: len(spoken)] = spoken
    heard = qualities(samples)
    assert any(heard[:2]), "it was spoken enough"
    assert not any(heard[3:]), "ten seconds later nothing of it counts"


def test_the_sampling_rate_makes_little_difference() -> None:
    wide = to_samples(*resample_poly(clean().astype(np.float64), 2, 1).T)
    assert np.median(scores(wide, 16_000)) == pytest.approx(np.median(scores(clean())), abs=0.25)


def test_audio_that_is_missing_does_not_sound_bad() -> None:
    bank = CallBank()
    bank.open("c")
    heard = []
    for start in range(0, len(clean()), RATE_HZ):
        bank.push("c", clean()[start : start + RATE_HZ])
        bank.gap("c", RATE_HZ // 5)
        bank.tick()
        heard += [result.quality.mos_score for _, result in bank.results if result.quality]
    assert min(heard) >= 3


def counts_of(shape: tuple[int, ...], most: int) -> st.SearchStrategy[np.ndarray]:
    size = int(np.prod(shape))
    numbers = st.lists(st.integers(0, most), min_size=size, max_size=size)
    return numbers.map(lambda flat: np.array(flat, dtype=np.int64).reshape(shape))


@given(
    counts_of((2, 5), MOST_FRAMES * FRAME_UNITS),
    counts_of((2, 3 * BANDS), MOST_FRAMES * 40_000),
    counts_of((2, 1 + BANDS), MOST_FRAMES * 200),
    counts_of((2,), 32_768),
)
def test_scores_lie_within_the_scale_whatever_was_measured(
    single: np.ndarray, bands: np.ndarray, background: np.ndarray, peak: np.ndarray
) -> None:
    rated = rate(Totals(np.concatenate([single, bands], axis=1), background, peak))
    assert np.all((rated >= 1.0) & (rated <= 4.5))


def judged(judge: QualityJudge, *sound_mos: float, told: NetworkSample | None = None) -> list[bool]:
    verdicts = [judge.judge([told], [score]) for score in sound_mos]
    return [verdict.degraded for verdict in verdicts if verdict]


def test_three_windows_of_five_that_sound_bad_degrade_a_call_and_five_good_ones_end_it() -> None:
    judge = QualityJudge()
    assert judged(judge, BAD, GOOD, BAD, GOOD, BAD) == [False, False, False, False, True]
    assert judged(judge, GOOD, GOOD, GOOD, GOOD) == [True] * 4
    assert judged(judge, GOOD) == [False]


def test_what_sounds_bad_on_a_good_line_is_bad_below_two_as_well() -> None:
    assert judged(QualityJudge(), *[GOOD] * 5, told=CLEAN_LINE) == [False] * 5
    assert judged(QualityJudge(), *[BAD] * 3, told=CLEAN_LINE) == [False, False, True]


def test_a_bad_line_is_bad_however_well_it_sounds() -> None:
    assert judged(QualityJudge(), *[4.4] * 3, told=NetworkSample(mos=2.99)) == [False, False, True]


@pytest.mark.parametrize(
    ("told", "sound_mos", "basis", "score"),
    [
        (None, 3.5, "signal", 3.5),
        (LOSSY_LINE, None, "network", mos(network_rating(LOSSY_LINE) or 0)),
        (LOSSY_LINE, 4.4, "both", mos(network_rating(LOSSY_LINE) or 0)),
        (CLEAN_LINE, 2.2, "both", 2.2),
        (NetworkSample(), 2.2, "signal", 2.2),
    ],
)
def test_the_worse_of_sound_and_network_counts_and_both_are_named(
    told: NetworkSample | None, sound_mos: float | None, basis: str, score: float
) -> None:
    verdict = QualityJudge().judge([told], [sound_mos])
    assert verdict is not None
    assert verdict.basis == basis
    assert verdict.mos_score == pytest.approx(score, abs=1e-6)


def test_the_worst_channel_gives_the_score_and_the_basis() -> None:
    verdict = QualityJudge().judge([CLEAN_LINE, None, None], [None, 3.0, None])
    assert verdict is not None
    assert (verdict.basis, verdict.record()["mosScore"]) == ("signal", pytest.approx(3.0, abs=0.011))
