"""How good a channel sounds by itself: PESQ as a small model guesses it from what is heard, without the original."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.emodel import BEST_MOS, WORST_MOS

Levels = NDArray[np.uint8]

_MODEL = Path(__file__).parent / "signal-quality.npz"
_ACTIVE_STEPS = 50  # 25 dB below the loud hops
_FALL_STEPS = 36  # 18 dB
_WIDE_STEPS = 40  # bands within 20 dB of a hop's loudest are its bandwidth
_LAGS = (1, 2, 4, 8, 16, 32)
_SHARES = (2, 5, 10, 25, 50, 75, 90, 95, 98)


def features(levels: Levels, clipped: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the model is told of windows: `levels` (n, hops, BANDS) as of `analysis.spectrum`, `clipped` (n,) the
    share of flat tops among the samples, 0..1. Returns (n, features): whole numbers and quotients of them.

    The mean spectrum of the speech is left out on purpose: it tells whose voice it is, and was learnt as such."""
    loudest = levels.max(axis=2).astype(np.int64)
    ranked = np.sort(loudest, axis=1)
    places = [ranked.shape[1] * share // 100 for share in _SHARES]
    loud = ranked[:, ranked.shape[1] * 95 // 100, None]
    active = loudest >= loud - _ACTIVE_STEPS
    number = np.maximum(active.sum(axis=1, keepdims=True), 1)
    steps = levels.astype(np.int64)
    both = active[:, 1:] & active[:, :-1]
    change = np.abs(np.diff(steps, axis=1))
    flux = np.where(both[:, :, None], change, 0).sum(axis=1) / np.maximum(both.sum(axis=1, keepdims=True), 1)
    wide = (steps >= loudest[:, :, None] - _WIDE_STEPS).sum(axis=2)
    parts = [
        ranked[:, places] - loud,
        loud,
        active.mean(axis=1, keepdims=True),
        np.sort(steps, axis=1)[:, steps.shape[1] // 10] - loud,
        flux,
        flux / (flux.mean(axis=1, keepdims=True) + 1),
        np.where(active, wide, 0).sum(axis=1, keepdims=True) / number,
        (loudest == 0).mean(axis=1, keepdims=True),
        (np.diff(loudest, axis=1) <= -_FALL_STEPS).mean(axis=1, keepdims=True),
        (np.diff(loudest, axis=1) >= _FALL_STEPS).mean(axis=1, keepdims=True),
        (change.sum(axis=2) <= 2).mean(axis=1, keepdims=True),
        (np.abs(steps[:, 2:] - steps[:, :-2]).sum(axis=2) <= 2).mean(axis=1, keepdims=True),
        *(np.abs(loudest[:, lag:] - loudest[:, :-lag]).mean(axis=1, keepdims=True) for lag in _LAGS),
        clipped[:, None],
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


class Trees:
    """Boosted regression trees of one depth, as training/quality.py writes them; exact in any batch."""

    def __init__(self, path: Path = _MODEL) -> None:
        with np.load(path) as kept:
            self._feature: NDArray[np.int64] = kept["feature"].astype(np.int64)  # (trees, nodes), in order of depth
            self._threshold: NDArray[np.float32] = kept["threshold"]
            self._leaf: NDArray[np.int64] = kept["leaf"].astype(np.int64)  # (trees, leaves), in 1/10000
            self._base = int(kept["base"])

    def scores(self, told: NDArray[np.float32]) -> NDArray[np.float64]:
        """PESQ as guessed from features (n, features): (n,), 1..4.5."""
        trees = np.arange(len(self._feature))
        node = np.zeros((len(told), len(trees)), dtype=np.int64)
        rows = np.arange(len(told))[:, None]
        while node.size and node[0, 0] < self._feature.shape[1]:
            beyond = told[rows, self._feature[trees, node]] > self._threshold[trees, node]
            node = 2 * node + 1 + beyond
        total = self._base + self._leaf[trees, node - self._feature.shape[1]].sum(axis=1)
        scores: NDArray[np.float64] = np.clip(total / 10_000, WORST_MOS, BEST_MOS)
        return scores


@cache
def _trees() -> Trees:
    return Trees()


def scores(levels: Levels, clipped: NDArray[np.float64]) -> NDArray[np.float64]:
    """PESQ (ITU-T P.862, mapped by P.862.1) as guessed from windows, see `features`: (n,), 1..4.5."""
    return _trees().scores(features(levels, clipped))
