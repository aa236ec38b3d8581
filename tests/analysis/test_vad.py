"""The engine's own ears give the same probabilities to the bit, however frames come and whoever else is heard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.features import Features, measure
from analysis.network import HIGHEST, Layer, Network
from analysis.surroundings import INPUTS
from analysis.vad import NetworkVad, VadThresholds
from tests.analysis.voices import room, talk, to_samples

STEPS, KINDS = 120, 4


def frames_of(seed: int) -> Features:
    """Features of two channels, (STEPS, 1, 2): talk and noise that come and go, and some zeros."""
    rng = np.random.default_rng(seed)
    sounds = [room(STEPS * 20, seed + side, rng.uniform(-70, -30)) for side in (0, 1)]
    sounds[0][4000:12_000] += talk(1000, seed, rng.uniform(-45, -10))
    sounds[1][9000:10_500] = 0
    samples = to_samples(*sounds).T.reshape(2, STEPS, 160)
    before = np.concatenate([np.zeros((2, 1, 80), np.int16), samples[:, :-1, 80:]], axis=1)
    measured = measure(samples.reshape(-1, 160), before.reshape(-1, 80), 8000)
    fields = (getattr(measured, name) for name in Features.__slots__)
    return Features(*(np.moveaxis(field.reshape(2, STEPS, 1, *field.shape[1:]), 0, 2) for field in fields))


def part(frames: Features, start: int, stop: int) -> Features:
    return Features(*(getattr(frames, name)[start:stop] for name in Features.__slots__))


def ears(rows: int) -> NetworkVad:
    vad = NetworkVad(VadThresholds())
    for state in vad.rows:
        state.resize(rows)
    return vad


CALLS = [frames_of(seed) for seed in range(1, KINDS + 1)]  # the speech of 0 is no louder than its noise
HEARD = np.random.default_rng(1).random((STEPS, 1, 2)) > 0.03
ALONE = [ears(1).judge(call, HEARD, np.array([STEPS])) for call in CALLS]


def test_the_calls_of_these_tests_have_speech_and_none() -> None:
    for probability in ALONE:
        assert probability[60:70, 0, 0].mean() > 0.6
        assert probability[20:24, 0, 0].mean() < 0.4


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(0, KINDS - 1), min_size=1, max_size=40),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_probabilities_do_not_depend_on_company_or_pace(kinds: list[int], sizes: list[int], seed: int) -> None:
    vad = ears(len(kinds))
    rng = np.random.default_rng(seed)
    at = np.zeros(len(kinds), dtype=np.int64)
    said: list[list[np.ndarray]] = [[] for _ in kinds]
    while (at < STEPS).any():
        steps = int(rng.choice(sizes))
        lengths = np.minimum(rng.integers(0, steps + 1, len(kinds)), STEPS - at)
        pieces = [part(CALLS[kind], int(first), int(first) + steps) for kind, first in zip(kinds, at, strict=True)]
        frames = Features(*(stacked([getattr(piece, name) for piece in pieces], steps) for name in Features.__slots__))
        heard = stacked([HEARD[first : first + steps] for first in at], steps)
        probability = vad.judge(frames, heard, lengths)
        for row, length in enumerate(lengths):
            said[row].append(probability[:length, row])
        at += lengths
    for row, kind in enumerate(kinds):
        np.testing.assert_array_equal(np.concatenate(said[row]), ALONE[kind][:, 0])


def stacked(rows: list[np.ndarray], steps: int) -> np.ndarray:
    """Arrays (steps or fewer, 1, ...) as one of (steps, rows, ...), short ones filled up."""
    filled = [np.concatenate([row, np.zeros((steps - len(row), *row.shape[1:]), row.dtype)]) for row in rows]
    return np.concatenate(filled, axis=1)


@pytest.mark.parametrize("inputs", [1, 7, INPUTS])
def test_sums_of_the_greatest_weights_and_inputs_are_exact(inputs: int) -> None:
    layer = Layer(
        np.full((inputs, 3), HIGHEST, dtype=np.float32), np.full(3, 999, np.float32), np.ones(3, dtype=np.float32)
    )
    sums = layer.sums(np.full((50, inputs), 160, dtype=np.float32))
    assert (sums == inputs * HIGHEST * 160 + 999).all()


def test_every_weight_that_ships_is_a_whole_number_that_keeps_sums_exact() -> None:
    for layer in Network.load("vad-weights.npz").layers:
        assert (layer.weights == np.rint(layer.weights)).all()
        assert (layer.biases == np.rint(layer.biases)).all()
        worst = np.abs(layer.weights).sum(axis=0) * 160 + np.abs(layer.biases)
        assert worst.max() < 2**24
