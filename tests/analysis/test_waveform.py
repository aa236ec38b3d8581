"""Marks of damage in frames: as the definitions say, sample by sample."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.features import measure
from analysis.waveform import FRAME_UNITS, RAIL, Marks

LOUD_SQUARE = 2**30 * 10**-4.4  # quieter frames need not be looked at for flat tops
PIECES = st.lists(
    st.tuples(st.sampled_from([0, 8, -900, 7000, 7050, -7080, 20_000, RAIL, -32_768]), st.integers(1, 200)),
    min_size=4,
    max_size=40,
)


def marks_of(samples: np.ndarray, rate_hz: int) -> Marks:
    frames = samples.reshape(-1, rate_hz // 50)
    return measure(frames, np.zeros((len(frames), rate_hz // 100), np.int16), rate_hz).waveform


def rendered(pieces: list[tuple[int, int]], frame: int) -> np.ndarray:
    """Whole frames of constant runs of these values and lengths; odd ones are made rough."""
    parts = [np.full(length, value) + (np.arange(length) % 2 * 40 if length % 2 else 0) for value, length in pieces]
    samples = np.concatenate(parts)[: 30 * frame]
    return np.clip(np.resize(samples, -(-len(samples) // frame) * frame), -32768, 32767).astype(np.int16)


def runs(flags_or_samples: list[int]) -> list[tuple[int, int, int]]:
    """Value, start and end of each constant run."""
    found, at = [], 0
    for value, group in groupby(flags_or_samples):
        length = len(list(group))
        found.append((value, at, at + length))
        at += length
    return found


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
@settings(deadline=None, max_examples=40)
@given(pieces=PIECES)
def test_flat_tops_and_constant_runs_are_those_of_a_sample_by_sample_count(
    pieces: list[tuple[int, int]], rate_hz: int
) -> None:
    frame = rate_hz // 50
    unit = FRAME_UNITS // frame
    samples = rendered(pieces, frame)
    for heard, marks in zip(samples.reshape(-1, frame).tolist(), marks_of(samples, rate_hz), strict=True):
        constant = runs(heard)
        (_, _, lead), (_, trail, _) = constant[0], constant[-1]
        assert (marks["lead"], marks["trail"]) == (lead * unit, (frame - trail) * unit)
        inner = [(end - start, end) for _, start, end in constant[1:-1] if (end - start) * unit >= 154]
        longest = max(inner, key=lambda run: run[0], default=(0, 0))
        assert marks["inner"] == longest[0] * unit
        if np.var(heard) > LOUD_SQUARE:
            peak = max(map(abs, heard))
            near = [abs(x) * 1000 >= peak * 985 for x in heard]
            clipped = [n and (long or abs(x) >= RAIL) for n, long, x in zip(near, in_long(near), heard, strict=True)]
            assert marks["clipped"] == sum(clipped) * unit


def in_long(near: list[bool]) -> list[bool]:
    """Whether each sample is in a run of 3 or more."""
    return [end - start >= 3 for _, start, end in runs(near) for _ in range(end - start)]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(0, 159), st.integers(1, 40))
def test_blocks_have_one_number_if_they_are_equal_and_two_if_a_sample_differs(seed: int, at: int, by: int) -> None:
    first = np.random.default_rng(seed).integers(-3000, 3000, 160).astype(np.int16)
    second = first.copy()
    second[at] += by
    marks = marks_of(np.concatenate([first, first, second]), 8000)["blocks"]
    assert (marks[0] == marks[1]).all()
    assert (marks[1] == marks[2]).tolist() == [at >= 80, at < 80]


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 3000), st.integers(0, 99))
def test_a_frames_marks_do_not_depend_on_the_others(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(-32768, 32768, (count, 20)), 8, axis=1).astype(np.int16)
    together = marks_of(frames.reshape(-1), 8000)
    one = int(rng.integers(count))
    assert together[one] == marks_of(frames[one], 8000)[0]
