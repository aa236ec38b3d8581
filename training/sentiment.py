"""Learns the mood of phrases: `python -m training.sentiment` writes analysis/mood-weights.tsv. Needs scikit-learn."""

from collections import Counter
from pathlib import Path

import numpy as np

from analysis.sentiment import MOODS, features, sentiment_of

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "analysis" / "mood-weights.tsv"
SURE = 0.7
TOLD_BY = 3  # phrases; what fewer have is left out
STRENGTH = 0.3  # of what is learnt against staying at nothing; .1 to 1 made no difference on phrases kept apart


def phrases(path: Path) -> list[tuple[str, str]]:
    """Moods and texts of a file of phrases."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(mood, text) for mood, text in (line.split("\t") for line in lines if line and not line.startswith("#"))]


def learn(labelled: list[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """By feature, what it says for negative and for positive, against neutral, in hundredths."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    told = [features(text) for _, text in labelled]
    often = Counter(feature for one in told for feature in one)
    vectors = DictVectorizer()
    given = vectors.fit_transform(
        [{name: value for name, value in one.items() if often[name] >= TOLD_BY} for one in told]
    )
    model = LogisticRegression(C=STRENGTH, max_iter=5000, fit_intercept=False)
    model.fit(given, [MOODS.index(mood) for mood, _ in labelled])
    against = np.rint(100 * (model.coef_ - model.coef_[1])).astype(int)
    rows = zip(vectors.get_feature_names_out(), against[0].tolist(), against[2].tolist(), strict=True)
    return {name: (negative, positive) for name, negative, positive in rows if negative or positive}


def main() -> None:
    """Learn, write, and print how many phrases that were kept apart are judged rightly."""
    weights = learn(phrases(Path(__file__).parent / "phrases.tsv"))
    lines = [f"{name}\t{negative}\t{positive}" for name, (negative, positive) in sorted(weights.items())]
    head = "# What words say for negative and for positive, against neutral, in hundredths; by training/sentiment.py."
    WEIGHTS.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    judged = [(mood, sentiment_of(text)) for mood, text in phrases(ROOT / "benchmarks" / "phrases.tsv")]
    right = np.array([found.sentiment == mood for mood, found in judged])
    sure = np.array([found.confidence > SURE for _, found in judged])
    print(f"{len(judged)} phrases: {right.mean():.3f} right")
    print(f"sure of {sure.mean():.2f} of them, of which {right[sure].mean():.3f} are right")


if __name__ == "__main__":
    main()
