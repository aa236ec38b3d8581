"""Fits what the sound of a channel is worth to PESQ: `python -m training.quality` writes analysis/signal-quality.npz.

Needs scikit-learn, and the examples of `training.spoilt`.
"""

from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from analysis.features import measure
from analysis.signal_quality import Trees, features
from analysis.spectrum import BANDS, HOPS
from analysis.waveform import FRAME_UNITS
from analysis.windows import WINDOW_FRAMES, WINDOW_S
from training.material import Part
from training.spoilt import RATE_HZ, Kind, kept

MODEL = Path(__file__).parents[1] / "analysis" / "signal-quality.npz"
DEPTH, TREES = 5, 300
AT_ONCE = 50


def told(spoilt: NDArray[np.int16]) -> NDArray[np.float32]:
    """What the model is told of the last window of each example, (n, features)."""
    size = RATE_HZ // 50
    parts = []
    for first in range(0, len(spoilt), AT_ONCE):
        window = spoilt[first : first + AT_ONCE, -WINDOW_S * RATE_HZ :]
        count = len(window)
        before = np.zeros((count, WINDOW_FRAMES, size // HOPS), np.int16)
        frames = window.reshape(count, WINDOW_FRAMES, size)
        before[:, 1:] = frames[:, :-1, size // HOPS :]
        heard = measure(frames.reshape(-1, size), before.reshape(-1, size // HOPS), RATE_HZ)
        levels = heard.bands.reshape(count, WINDOW_FRAMES * HOPS, BANDS).astype(np.uint8)
        clipped = heard.waveform["clipped"].reshape(count, -1).sum(axis=1) / (WINDOW_FRAMES * FRAME_UNITS)
        parts.append(features(levels, clipped))
    return np.concatenate(parts)


def fitted(given: NDArray[np.float32], scores: NDArray[np.float32]) -> Any:
    """Boosted trees on random halves of the examples and thirds of the features."""
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(
        n_estimators=TREES,
        max_depth=DEPTH,
        learning_rate=0.05,
        subsample=0.5,
        max_features=0.3,
        min_samples_leaf=20,
        random_state=1,
    )
    return model.fit(given, scores)


def save(model: Any, path: Path) -> None:
    """Write the trees, each made complete: a leaf above the last depth stands for all that would be below it."""
    nodes = 2**DEPTH - 1
    feature = np.zeros((TREES, nodes), np.int16)
    threshold = np.full((TREES, nodes), np.inf, np.float32)
    leaf = np.zeros((TREES, nodes + 1), np.int32)
    for number, (estimator,) in enumerate(model.estimators_):
        tree = estimator.tree_
        place = [0]
        for _ in range(DEPTH):  # from depth to depth; a leaf is its own child
            place = [child for at in place for child in _children(tree, at)]
        leaf[number] = np.rint(tree.value[place, 0, 0] * model.learning_rate * 10_000)
        place = [0]
        for depth in range(DEPTH):
            first = 2**depth - 1
            for offset, at in enumerate(place):
                if tree.children_left[at] >= 0:
                    feature[number, first + offset] = tree.feature[at]
                    threshold[number, first + offset] = tree.threshold[at]
            place = [child for at in place for child in _children(tree, at)]
    base = round(float(model.init_.constant_.ravel()[0]) * 10_000)
    np.savez_compressed(path, feature=feature, threshold=threshold, leaf=leaf, base=base)


def _children(tree: Any, at: int) -> tuple[int, int]:
    left, right = int(tree.children_left[at]), int(tree.children_right[at])
    return (left, right) if left >= 0 else (at, at)


def agreement(part: Part, kind: Kind, model: Trees) -> tuple[float, float]:
    """Pearson's correlation with PESQ on a part, and the mean absolute error."""
    spoilt, scores = kept(part, kind)
    guessed = model.scores(told(spoilt))
    return float(np.corrcoef(guessed, scores)[0, 1]), float(np.abs(guessed - scores).mean())


def main() -> None:
    """Fit, write, and print how well voices are judged that were not trained on."""
    parts = [kept("train", kind) for kind in get_args(Kind)]
    given = np.concatenate([told(spoilt) for spoilt, _ in parts])
    save(fitted(given, np.concatenate([scores for _, scores in parts])), MODEL)
    for kind in ("", "sparse"):
        correlation, error = agreement("test", kind, Trees(MODEL))  # type: ignore[arg-type]
        print(f"{kind or 'dense'}: Pearson {correlation:.3f}, mean error {error:.2f}")


if __name__ == "__main__":
    main()
