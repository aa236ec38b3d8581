"""How right an engine is: what it found is matched with what is true, and counted, by the rules of docs/accuracy.md."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ONSET_TOLERANCE_MS = 300
SLOW_ONSET_TOLERANCE_MS = 500
SLOW_TYPES = ("long_pause", "silence")
DOUBT_MS = 51
"""Labels within 50 ms of a limiting duration count neither way; for `benchmarks.definitions`, in whole ms."""

CALIBRATION_BINS = 10
FEWEST_IN_A_BIN = 50


class Span(NamedTuple):
    """Something found or true: what, on which channel, [start, end) in ms.

    `type` is the record's type, with the kind of a silence: `silence/quiet`. A label that is not `sure` counts
    neither way, nor does what is matched with it.
    """

    type: str
    channel: str
    start: int
    end: int
    sure: bool = True


@dataclass
class Score:
    """Hits and misses of one type, added up over calls."""

    hits: int = 0
    misses: int = 0
    false: int = 0
    onset_errors_ms: list[int] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of the labels that were found; 1 if there are none."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def precision(self) -> float:
        """Share of the findings that are true; 1 if there are none."""
        return _share(self.hits, self.hits + self.false)

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        return _share(2 * self.hits, 2 * self.hits + self.misses + self.false)

    @property
    def onset_error_ms(self) -> float:
        """Median distance of a hit's onset from the true one; NaN without hits."""
        return float(np.median(self.onset_errors_ms)) if self.onset_errors_ms else float("nan")

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.hits + other.hits,
            self.misses + other.misses,
            self.false + other.false,
            self.onset_errors_ms + other.onset_errors_ms,
        )


def match(found: Sequence[Span], labels: Sequence[Span]) -> list[tuple[Span, Span]]:
    """Pairs (found, label) of one type and channel that intersect, their onsets 300 ms apart or less (pauses and
    silences 500), one to one, those with the nearest onsets first."""
    near = sorted(
        (abs(finding.start - label.start), f, g)
        for f, finding in enumerate(found)
        for g, label in enumerate(labels)
        if _may_match(finding, label)
    )
    pairs, taken = [], Counter[tuple[str, int]]()
    for _, f, g in near:
        if not taken["found", f] and not taken["label", g]:
            taken["found", f] = taken["label", g] = 1
            pairs.append((found[f], labels[g]))
    return pairs


def score(found: Sequence[Span], labels: Sequence[Span]) -> dict[str, Score]:
    """Scores of one call by type."""
    scores = {type: Score() for type in sorted({span.type for span in (*found, *labels)})}
    pairs = match(found, labels)
    for finding, label in pairs:
        if label.sure:
            scores[label.type].hits += 1
            scores[label.type].onset_errors_ms.append(abs(finding.start - label.start))
    for finding in _left(found, [finding for finding, _ in pairs]):
        scores[finding.type].false += 1
    for label in _left(labels, [label for _, label in pairs]):
        scores[label.type].misses += label.sure
    return scores


def add(scores: Iterable[dict[str, Score]]) -> dict[str, Score]:
    """The scores of many calls as one."""
    total: dict[str, Score] = {}
    for one in scores:
        for type, figures in one.items():
            total[type] = total.get(type, Score()) + figures
    return total


def frame_score(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Score:
    """Hits, misses and false ones among frames, both arrays of one shape."""
    if found.shape != truth.shape:
        raise ValueError(f"frames of shape {found.shape} are scored with labels of shape {truth.shape}")
    return Score(int((found & truth).sum()), int((~found & truth).sum()), int((found & ~truth).sum()))


class Bin(NamedTuple):
    """Findings of like confidence: how many, their mean confidence, and the share that is right."""

    count: int
    confidence: float
    right: float

    @property
    def calibrated(self) -> bool:
        """The confidence is what it says, to 0.1, or there are too few findings to tell."""
        return self.count < FEWEST_IN_A_BIN or abs(self.right - self.confidence) <= 0.1


def calibration(findings: Iterable[tuple[float, bool]]) -> list[Bin]:
    """Findings given as (confidence 0..1, right), gathered in ten bins; empty ones are left out."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in findings:
        if not 0.0 <= confidence <= 1.0:
            raise ValueError(f"a confidence of {confidence} is not within 0..1")
        bins.setdefault(min(int(confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1), []).append((confidence, right))
    return [Bin(len(one), *map(float, np.mean(one, axis=0))) for _, one in sorted(bins.items())]


def _may_match(finding: Span, label: Span) -> bool:
    slow = label.type.split("/")[0] in SLOW_TYPES
    tolerance = SLOW_ONSET_TOLERANCE_MS if slow else ONSET_TOLERANCE_MS
    return (
        (finding.type, finding.channel) == (label.type, label.channel)
        and abs(finding.start - label.start) <= tolerance
        and finding.start < label.end
        and label.start < finding.end
    )


def _left(spans: Sequence[Span], matched: Sequence[Span]) -> Iterable[Span]:
    return (Counter(spans) - Counter(matched)).elements()


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
