"""Trains the small networks of `analysis.network`, and rounds them to whole numbers."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.network import HIGHEST, Layer, Network

Matrix = NDArray[np.float32]

_CEILING = np.float32(6.0)  # of activations, so that they fit in whole steps


@dataclass(frozen=True, slots=True)
class Course:
    """How a network is trained.

    Attributes:
        units: of each layer, the inputs' number first, 1 last.
        input_scale: makes the whole-numbered inputs about one, which trains best.
        rate: of learning, at first; it falls to nothing along a cosine.
        decay: of the weights.
    """

    units: tuple[int, ...]
    input_scale: float
    epochs: int
    batch: int = 1024
    rate: float = 2e-3
    decay: float = 1e-4


def train(
    inputs: NDArray[np.int16], labels: NDArray[np.bool_] | Matrix, course: Course, rng: np.random.Generator
) -> Network:
    """A network for inputs (n, inputs) and labels (n,), 0..1: descends the gradient of the cross entropy by Adam
    (D. Kingma, J. Ba, *Adam: a method for stochastic optimization*, 2015), then rounds."""
    parameters = [array for shape in pairwise(course.units) for array in _initial(shape, rng)]
    moments = [(np.zeros_like(array), np.zeros_like(array)) for array in parameters]
    scale, batches = np.float32(course.input_scale), len(labels) // course.batch
    for step in range(course.epochs * batches):
        if step % batches == 0:
            order = rng.permutation(len(labels))
        chosen = np.sort(order[step % batches * course.batch :][: course.batch])
        x, y = inputs[chosen] * scale, labels[chosen].astype(np.float32)
        rate = course.rate * (1 + np.cos(np.pi * step / (course.epochs * batches))) / 2
        _descend(parameters, _gradients(parameters, x, y), moments, rate, course.decay, step + 1)
    return _rounded(parameters, scale)


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
    parameters: list[Matrix],
    gradients: list[Matrix],
    moments: list[tuple[Matrix, Matrix]],
    rate: float,
    decay: float,
    step: int,
) -> None:
    """One step of Adam, with decay of the weights."""
    for parameter, gradient, (mean, square) in zip(parameters, gradients, moments, strict=True):
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (np.square(gradient) - square)
        direction = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        parameter -= (rate * (direction + decay * parameter)).astype(np.float32)


def _rounded(parameters: list[Matrix], input_scale: np.float32) -> Network:
    """The network in whole numbers: a unit's greatest weight is HIGHEST, HIGHEST steps of activation are _CEILING."""
    step = _CEILING / HIGHEST
    layers = []
    for weights, biases in zip(parameters[::2], parameters[1::2], strict=True):
        weights = weights * (step if layers else input_scale)
        worth = np.abs(weights).max(axis=0) / HIGHEST
        last = len(layers) == len(parameters) // 2 - 1
        scale = worth if last else worth / step
        half = 0.0 if last else 0.5 / scale  # steps are rounded down
        layers.append(Layer(np.rint(weights / worth), np.rint(biases / worth + half), scale.astype(np.float32)))
    return Network(tuple(layers))


def save(network: Network, path: Path) -> None:
    """Write the weights as the engine loads them, in the smallest types that hold them."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers):
        arrays[f"weights{number}"] = layer.weights.astype(np.int8)
        arrays[f"biases{number}"] = layer.biases.astype(np.int32)
        arrays[f"scale{number}"] = layer.scale
    np.savez_compressed(path, **arrays)
