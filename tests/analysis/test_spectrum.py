"""Band levels: right to the step, and the same to the bit however frames are taken together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.spectrum import BAND_EDGES_HZ, BANDS, HOPS, QUIETEST_DBOV, STEPS_PER_DB, band_levels


def framed(sound: NDArray[np.float64], rate_hz: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Frames of 20 ms, and the 10 ms before each."""
    length = rate_hz // 50
    samples = np.rint(sound).astype(np.int16).reshape(-1, length)
    before = np.concatenate([np.zeros((1, length // 2), np.int16), samples[:-1, length // 2 :]])
    return samples, before


def dbov(levels: NDArray[np.int16]) -> NDArray[np.float64]:
    return levels / STEPS_PER_DB + QUIETEST_DBOV


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
@pytest.mark.parametrize("band", [1, 7, 19])
def test_a_tone_has_its_level_in_its_band_and_far_less_two_bands_away(rate_hz: int, band: int) -> None:
    hz = sum(BAND_EDGES_HZ[band : band + 2]) / 2
    tone = 3276.8 * np.sqrt(2.0) * np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz)
    levels = dbov(band_levels(*framed(tone, rate_hz)))[1:]
    assert np.abs(levels[:, :, band] - -20.0).max() <= 1.0
    elsewhere = [other for other in range(BANDS) if abs(other - band) > 1]
    assert levels[:, :, elsewhere].max() < -45.0


def test_white_noise_spreads_over_the_bands_by_their_width() -> None:
    noise = np.random.default_rng(1).standard_normal(8000 * 20) * 1000.0
    mean_power = (10.0 ** (dbov(band_levels(*framed(noise, 8000))) / 10)).mean(axis=(0, 1))
    expected = (1000.0 / 32768.0) ** 2 * np.diff(BAND_EDGES_HZ) / 4000.0
    assert np.abs(10 * np.log10(mean_power / expected)).max() < 0.6


def test_silence_and_a_constant_offset_have_no_level() -> None:
    for value in (0.0, 12_345.0):
        levels = band_levels(*framed(np.full(1600, value), 8000))
        assert levels.shape == (10, HOPS, BANDS)
        assert dbov(levels)[1:].max() < -90.0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.sampled_from([8000, 16_000])
)
def test_levels_are_the_same_to_the_bit_in_every_company(sizes: list[int], seed: int, rate_hz: int) -> None:
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    loudness = 10.0 ** rng.uniform(0.0, 4.5, (count, 1))
    sound = np.clip(rng.standard_normal((count, rate_hz // 50)) * loudness, -32768, 32767)
    samples, before = framed(sound.reshape(-1), rate_hz)
    together = band_levels(samples, before)
    at = 0
    for size in sizes:
        part = slice(at, at + size)
        np.testing.assert_array_equal(band_levels(samples[part], before[part]), together[part])
        at += size
