"""The mood of a call by its words: what each transcript segment says, and how the call feels after it."""

import math
import re
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from analysis.findings import Sentiment

MOODS = ("negative", "neutral", "positive")
_LEXICON = Path(__file__).parent / "lexicon.tsv"
_SEGMENTS = 3  # that the present mood is made of
_FADES_TO = 0.6  # what a segment weighs beside the next one
_UNKNOWN = Sentiment("neutral", 0.34, "prosody")

# Fitted by training/sentiment.py: log odds against `neutral`, of a constant and of the compound's two signs.
_NEGATIVE = (-1.40, 8.51, -0.13)
_POSITIVE = (-2.85, -0.77, 10.01)


@dataclass(frozen=True, slots=True)
class Segment:
    """Something said: its words, who said it, and what a vendor says of its mood, if one does."""

    text: str
    channel: str = ""
    vendor_sentiment: str = ""
    vendor_confidence: float = 1.0


class _Words:
    """vaderSentiment with the phrases of calls: a phrase becomes a word of its own, which has the phrase's valence."""

    def __init__(self) -> None:
        self._analyzer = SentimentIntensityAnalyzer()
        self._phrases: list[tuple[re.Pattern[str], str]] = []
        for line in _LEXICON.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                pattern, valence = line.split("\t")
                word = f"phrase{'minus' if valence.startswith('-') else 'plus'}{valence.strip('-').replace('.', 'x')}"
                self._analyzer.lexicon[word] = float(valence)
                self._phrases.append((re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE), word))

    def compound(self, text: str) -> float:
        """VADER's compound score of a text, -1..1."""
        score: float = self._analyzer.polarity_scores(self._with_phrases(text))["compound"]
        return score

    def _with_phrases(self, text: str) -> str:
        text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        fits = [(fit.span(), word) for pattern, word in self._phrases for fit in pattern.finditer(text)]
        fits.sort(key=lambda fit: (fit[0][0] - fit[0][1], fit[0][0]))
        taken: list[tuple[tuple[int, int], str]] = []
        for (begin, end), word in fits:
            if all(end <= other[0] or begin >= other[1] for other, _ in taken):
                taken.append(((begin, end), word))
        for (begin, end), word in sorted(taken, reverse=True):
            text = f"{text[:begin]} {word} {text[end:]}"
        return text


@cache
def _words() -> _Words:
    return _Words()


def odds(compound: float) -> tuple[float, float, float]:
    """How likely a text of this compound score is negative, neutral, positive: in that order, adding up to 1."""
    loss, gain = max(0.0, -compound), max(0.0, compound)
    weights = [
        math.exp(constant + by_loss * loss + by_gain * gain) for constant, by_loss, by_gain in (_NEGATIVE, _POSITIVE)
    ]
    total = 1.0 + sum(weights)
    return weights[0] / total, 1.0 / total, weights[1] / total


def compound(text: str) -> float:
    """How a text feels, -1..1: VADER's compound (Hutto and Gilbert 2014) with the phrases of calls."""
    return _words().compound(text)


def sentiment_of(text: str) -> Sentiment:
    """The mood of a text by itself, and how likely that is right."""
    return _likeliest(odds(compound(text)))


class Mood:
    """The mood of one call: what the last few segments say, the newest most.

    A vendor's own verdict on a segment counts as it is. Before anything was said it is neutral, by prosody, which
    tells how excited somebody is but not whether they are pleased.
    """

    def __init__(self) -> None:
        self._said: deque[tuple[tuple[float, ...], str]] = deque(maxlen=_SEGMENTS)

    def take(self, segment: Segment) -> None:
        """Somebody has finished saying something; what has no words says nothing."""
        if segment.vendor_sentiment:
            self._said.append((_told(segment), "vendor"))
        elif segment.text.strip():
            self._said.append((odds(compound(segment.text)), "transcript"))

    @property
    def sentiment(self) -> Sentiment:
        """The mood now."""
        if not self._said:
            return _UNKNOWN
        weights = [_FADES_TO**age for age in range(len(self._said))][::-1]
        likely = [
            sum(weight * said[place] for weight, (said, _) in zip(weights, self._said, strict=True)) / sum(weights)
            for place in range(len(MOODS))
        ]
        return _likeliest(tuple(likely), self._said[-1][1])


def _told(segment: Segment) -> tuple[float, ...]:
    """A vendor's verdict as odds: what it is not sure of is shared out among the others."""
    if segment.vendor_sentiment not in MOODS:
        raise ValueError(f"sentiment {segment.vendor_sentiment!r} is none of {', '.join(MOODS)}")
    rest = (1 - segment.vendor_confidence) / 2
    return tuple(segment.vendor_confidence if mood == segment.vendor_sentiment else rest for mood in MOODS)


def _likeliest(likely: tuple[float, ...], basis: str = "transcript") -> Sentiment:
    best = max(range(len(MOODS)), key=lambda place: likely[place])
    return Sentiment(MOODS[best], likely[best], basis)
