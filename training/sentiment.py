"""Fits how confident the sentiment of a text is: `python -m training.sentiment` prints the figures for the code."""

from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from analysis.sentiment import MOODS, compound

PHRASES = Path(__file__).parent / "phrases.tsv"
SHRINK = 0.02  # keeps a few hundred phrases from making it too sure


def phrases(path: Path = PHRASES) -> list[tuple[str, str]]:
    """Moods and texts of a file of phrases."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(mood, text) for mood, text in (line.split("\t") for line in lines if line and not line.startswith("#"))]


def fit(labelled: list[tuple[str, str]]) -> np.ndarray:
    """Log odds of negative and of positive against neutral: (2, constant and the compound's two signs)."""
    scores = np.array([compound(text) for _, text in labelled])
    given = np.column_stack([np.ones_like(scores), np.maximum(-scores, 0), np.maximum(scores, 0)])
    mood = np.array([MOODS.index(label) for label, _ in labelled])

    def cost(weights: np.ndarray) -> float:
        negative, positive = weights.reshape(2, 3) @ given.T
        logits = np.stack([negative, np.zeros_like(negative), positive])
        logits -= logits.max(axis=0)
        likely = logits - np.log(np.exp(logits).sum(axis=0))
        return float(-likely[mood, np.arange(len(mood))].mean() + SHRINK * np.mean(weights**2) / 10)

    return minimize(cost, np.zeros(6)).x.reshape(2, 3)


def main() -> None:
    """Print the weights, and how often each mood is right."""
    labelled = phrases()
    weights = fit(labelled)
    for name, row in zip(("_NEGATIVE", "_POSITIVE"), weights, strict=True):
        print(f"{name} = ({', '.join(f'{value:.2f}' for value in row)})")


if __name__ == "__main__":
    main()
