"""Resampling: true in level and time, quiet above the new band, the same however the audio was cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.resampling import Resampler, check_rate, heard_rate

RATES = [8025, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]


def tone(hz: float, rate_hz: int, samples: int) -> np.ndarray:
    return np.rint(10_000 * np.sin(2 * np.pi * hz * np.arange(samples) / rate_hz)).astype(np.int16)


def resample(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    resampler = Resampler(rate_hz)
    made = np.concatenate([resampler.push(samples), resampler.finish()])
    assert len(made) >= resampler.total(len(samples))
    return made[: resampler.total(len(samples))]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_tone_keeps_its_level_and_its_time(rate_hz: int) -> None:
    out_hz = heard_rate(rate_hz)
    made = resample(tone(1000, rate_hz, rate_hz), rate_hz)
    assert len(made) == out_hz
    inside = slice(out_hz // 10, -out_hz // 10)
    assert np.abs(made[inside] - tone(1000, out_hz, out_hz)[inside]).max() <= 12


@pytest.mark.parametrize("rate_hz", [11_025, 24_000, 48_000])
def test_what_lies_above_the_new_band_does_not_fold_into_it(rate_hz: int) -> None:
    above = heard_rate(rate_hz) * 0.6 if rate_hz > 16_000 else 5200
    made = resample(tone(above, rate_hz, rate_hz // 2), rate_hz)[800:-800]
    assert np.abs(made).max() < 32, "50 dB below"


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(RATES), st.lists(st.integers(1, 3000), min_size=1, max_size=5), st.integers(0, 9000))
def test_cutting_changes_no_sample(rate_hz: int, sizes: list[int], length: int) -> None:
    samples = np.random.default_rng(length).integers(-32768, 32767, length, dtype=np.int16)
    resampler = Resampler(rate_hz)
    made, at = [], 0
    while at < length:
        size = sizes[len(made) % len(sizes)]
        made.append(resampler.push(samples[at : at + size]))
        at = min(length, at + size)
        assert sum(map(len, made)) == resampler.reach(at)
    made.append(resampler.finish())
    np.testing.assert_array_equal(np.concatenate(made)[: resampler.total(length)], resample(samples, rate_hz))


@pytest.mark.parametrize("rate_hz", [0, 7975, 8001, 96_025])
def test_other_rates_are_refused_by_name(rate_hz: int) -> None:
    with pytest.raises(ValueError, match=str(rate_hz)):
        check_rate(rate_hz)
