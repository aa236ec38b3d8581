"""Trains the network of `analysis.vad`: `python -m training.vad [--lines N] [--epochs N] [--seed N]`.

Makes lines of the training voices (training/lines.py), measures them with the engine's own code, descends the gradient
of the cross entropy (D. Kingma, J. Ba, *Adam: a method for stochastic optimization*, 2015), rounds the weights to whole
numbers, writes `analysis/vad-weights.npz`, and prints how well frames of the test voices are told from noise.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.features import Features, measure
from analysis.lookahead import LOOK_AHEAD_FRAMES
from analysis.network import HIGHEST, Layer, Network
from analysis.surroundings import INPUTS, Surroundings, inputs
from training.lines import FRAME, RATE_HZ, Exchange, Line
from training.material import Part

WEIGHTS = Path(__file__).parents[1] / "analysis" / "vad-weights.npz"

Matrix = NDArray[np.float32]
Frames = tuple[NDArray[np.int16], NDArray[np.bool_]]
"""Inputs (frames, INPUTS) and labels (frames,)."""

_UNITS = (INPUTS, 40, 16, 1)
_INPUT_SCALE = np.float32(0.025)  # inputs of about one train best
_CEILING = np.float32(6.0)  # of activations, so that they fit in whole steps
_BATCH = 1024
_RATE = 2e-3  # of learning, at first; it falls to nothing along a cosine
_DECAY = 1e-4
_LINES_AT_ONCE = 8
_EVERY = 4  # frames: neighbours are alike
_PIECES = 4  # of 15 s


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.vad", description=sys.modules[__name__].__doc__)
    parser.add_argument("--lines", type=int, default=2560, help="lines of 60 s to learn from (default: 2560)")
    parser.add_argument("--epochs", type=int, default=3, help="how often each is seen (default: 3)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    inputs, labels = made("train", options.lines, options.seed)
    network = rounded(train(inputs, labels, options.epochs, np.random.default_rng(options.seed)))
    save(network)
    report(network)


def made(part: Part, lines: int, seed: int) -> Frames:
    """Frames of so many lines of a part, a quarter of them with sudden noises."""
    seeds = range(seed * 1000, seed * 1000 + lines, _LINES_AT_ONCE)
    with ProcessPoolExecutor(initializer=_take, initargs=(part,)) as pool:
        parts = list(pool.map(_some_frames, seeds, [4 * number >= 3 * len(seeds) for number in range(len(seeds))]))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


_exchange: Exchange


def _take(part: Part) -> None:
    global _exchange  # a process's own, made once
    _exchange = Exchange(part)


def _some_frames(seed: int, sudden: bool) -> Frames:
    """Half of the lines are judged as they are, half in pieces, as the first seconds are the hardest."""
    lines = [_exchange.anything(seed + number, sudden=sudden) for number in range(_LINES_AT_ONCE)]
    whole, others = lines[: _LINES_AT_ONCE // 2], lines[_LINES_AT_ONCE // 2 :]
    parts = [judged(whole), judged([piece for line in others for piece in line.cut(_PIECES)])]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def judged(lines: list[Line]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Inputs (frames, INPUTS) and labels (frames,) of every fourth frame of lines of one length, two of them a call.

    Left out are gaps that talkspurts bridge: what a network thinks of them makes no difference.
    """
    samples = np.stack([line.samples for line in lines]).reshape(len(lines), -1, FRAME)
    before = np.zeros((*samples.shape[:2], FRAME // 2), dtype=np.int16)
    before[:, 1:] = samples[:, :-1, FRAME // 2 :]
    measured = measure(samples.reshape(-1, FRAME), before.reshape(-1, FRAME // 2), RATE_HZ)
    shape = (len(lines) // 2, 2, samples.shape[1])
    frames = Features(*(_steps_first(getattr(measured, name), shape) for name in Features.__slots__))
    ears = Surroundings()
    ears.resize(shape[0])
    heard = np.ones(frames.zero.shape, dtype=np.bool_)
    line, channel = ears.follow(frames, heard, np.full(shape[0], shape[2]))
    rows = inputs(line, channel).reshape(shape[2], len(lines), INPUTS)[LOOK_AHEAD_FRAMES::_EVERY]
    labels = np.stack([line.speech for line in lines], axis=1)[:-LOOK_AHEAD_FRAMES:_EVERY]
    told = ~np.stack([line.gap for line in lines], axis=1)[:-LOOK_AHEAD_FRAMES:_EVERY]
    return rows[told].astype(np.int16), labels[told]


def _steps_first(values: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    return np.moveaxis(values.reshape(*shape, *values.shape[1:]), 2, 0)


def train(inputs: NDArray[np.int16], labels: NDArray[np.bool_], epochs: int, rng: np.random.Generator) -> list[Matrix]:
    """Weights and biases of each layer in turn."""
    parameters = [array for shape in pairwise(_UNITS) for array in _initial(shape, rng)]
    moments = [(np.zeros_like(array), np.zeros_like(array)) for array in parameters]
    batches = len(labels) // _BATCH
    for step in range(epochs * batches):
        if step % batches == 0:
            order = rng.permutation(len(labels))
        chosen = np.sort(order[step % batches * _BATCH :][:_BATCH])
        x, y = inputs[chosen] * _INPUT_SCALE, labels[chosen].astype(np.float32)
        rate = _RATE * (1 + np.cos(np.pi * step / (epochs * batches))) / 2
        _descend(parameters, _gradients(parameters, x, y), moments, rate, step + 1)
    return parameters


def _initial(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    spread = np.sqrt(2.0 / shape[0])
    return (spread * rng.standard_normal(shape)).astype(np.float32), np.zeros(shape[1], dtype=np.float32)


def _gradients(parameters: list[Matrix], x: Matrix, y: Matrix) -> list[Matrix]:
    """Of the mean cross entropy, by each parameter."""
    activations = [x]
    for weights, biases in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        activations.append(np.clip(activations[-1] @ weights + biases, 0, _CEILING))
    logits = (activations[-1] @ parameters[-2] + parameters[-1])[:, 0]
    error = ((1 / (1 + np.exp(-logits)) - y) / len(y))[:, None]
    gradients: list[Matrix] = []
    for layer in reversed(range(len(activations))):
        gradients = [activations[layer].T @ error, error.sum(axis=0), *gradients]
        sloped = (activations[layer] > 0) & (activations[layer] < _CEILING)
        error = (error @ parameters[2 * layer].T) * sloped
    return gradients


def _descend(
    parameters: list[Matrix], gradients: list[Matrix], moments: list[tuple[Matrix, Matrix]], rate: float, step: int
) -> None:
    """One step of Adam, with decay of the weights."""
    for parameter, gradient, (mean, square) in zip(parameters, gradients, moments, strict=True):
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (np.square(gradient) - square)
        direction = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        parameter -= (rate * (direction + _DECAY * parameter)).astype(np.float32)


def rounded(parameters: list[Matrix]) -> Network:
    """The network in whole numbers: a unit's greatest weight is HIGHEST, HIGHEST steps of activation are _CEILING."""
    step = _CEILING / HIGHEST
    layers = []
    for weights, biases in zip(parameters[::2], parameters[1::2], strict=True):
        weights = weights * (step if layers else _INPUT_SCALE)
        worth = np.abs(weights).max(axis=0) / HIGHEST
        last = len(layers) == len(parameters) // 2 - 1
        scale = worth if last else worth / step
        half = 0.0 if last else 0.5 / scale  # steps are rounded down
        layers.append(Layer(np.rint(weights / worth), np.rint(biases / worth + half), scale.astype(np.float32)))
    return Network(tuple(layers))


def save(network: Network) -> None:
    """Write the weights as the engine loads them, in the smallest types that hold them."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers):
        arrays[f"weights{number}"] = layer.weights.astype(np.int8)
        arrays[f"biases{number}"] = layer.biases.astype(np.int32)
        arrays[f"scale{number}"] = layer.scale
    np.savez_compressed(WEIGHTS, **arrays)


def report(network: Network) -> None:
    """Print the frame F1 of the test voices in the test noises, the same speech in all of them."""
    with ProcessPoolExecutor(initializer=_take, initargs=("test",)) as pool:
        sys.stdout.write(f"{'dB':>6} {'F1':>6} {'precision':>9} {'recall':>6}\n")
        for snr_db in (60.0, 20.0, 10.0, 5.0, 0.0):
            parts = list(pool.map(partial(_noisy_frames, snr_db=snr_db), range(16)))
            speech = np.concatenate([y for _, y in parts])
            said = np.concatenate([network.probability(x.astype(np.float32)) for x, _ in parts]) >= 0.5
            hits = int((said & speech).sum())
            f1 = 2 * hits / (said.sum() + speech.sum())
            sys.stdout.write(f"{snr_db:6.0f} {f1:6.3f} {hits / said.sum():9.3f} {hits / speech.sum():6.3f}\n")


def _noisy_frames(seed: int, snr_db: float) -> Frames:
    kinds = list(_exchange.noises)
    return judged([_exchange.noisy(seed, kinds[seed % len(kinds)], snr_db) for seed in (2 * seed, 2 * seed + 1)])


if __name__ == "__main__":
    main()
