"""A small neural network in whole numbers, which gives the same output to the bit alone or among thousands."""

from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

HIGHEST = 127
"""Weights are -127..127 and activations 0..127; so a sum of some hundred products stays below 2^24, up to which
float32 holds every whole number and the order of additions, which BLAS chooses, changes nothing."""

_LOGIT_STEPS = 32
_LOGITS = np.arange(-8 * _LOGIT_STEPS, 8 * _LOGIT_STEPS + 1) / _LOGIT_STEPS
_PROBABILITIES = (1.0 / (1.0 + np.exp(-_LOGITS))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights (inputs, units) and biases (units,), whole numbers as float32, and what a step of a sum is worth
    in steps of the output: `scale` (units,)."""

    weights: Matrix
    biases: Matrix
    scale: Matrix

    def sums(self, inputs: Matrix) -> Matrix:
        """Exact sums of the units, (n, units), of whole-numbered `inputs` (n, inputs)."""
        total: Matrix = inputs @ self.weights
        total += self.biases
        return total

    def activations(self, inputs: Matrix) -> Matrix:
        """Rectified sums in whole steps, 0..HIGHEST."""
        total = self.sums(inputs)
        total *= self.scale
        np.floor(total, out=total)
        return np.clip(total, 0, HIGHEST, out=total)


@dataclass(frozen=True, slots=True)
class Network:
    """Layers of rectified units and one output, a probability in steps of 1/32 of its logit."""

    layers: tuple[Layer, ...]

    def probability(self, inputs: Matrix) -> Matrix:
        """What the network thinks of inputs (n, inputs): (n,), 0..1."""
        *hidden, last = self.layers
        for layer in hidden:
            inputs = layer.activations(inputs)
        logit = np.rint(last.sums(inputs)[:, 0] * last.scale[0] * np.float32(_LOGIT_STEPS))
        place = np.clip(logit, _LOGITS[0] * _LOGIT_STEPS, _LOGITS[-1] * _LOGIT_STEPS).astype(np.int64)
        probability: Matrix = _PROBABILITIES[place + len(_LOGITS) // 2]
        return probability

    @classmethod
    def load(cls, name: str) -> "Network":
        """The network in an .npz file of this package: `weights0`, `biases0`, `scale0`, `weights1` and so on."""
        with np.load(BytesIO(files("analysis").joinpath(name).read_bytes())) as arrays:
            layers = [
                Layer(*(arrays[f"{part}{number}"].astype(np.float32) for part in ("weights", "biases", "scale")))
                for number in range(len(arrays.files) // 3)
            ]
        return cls(tuple(layers))
