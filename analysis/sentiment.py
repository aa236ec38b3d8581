"""The mood of a call by its words: what each transcript segment says, and how the call feels after it."""

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from analysis.findings import Sentiment

MOODS = ("negative", "neutral", "positive")

_LEXICON = Path(__file__).parent / "lexicon.tsv"
_WEIGHTS = Path(__file__).parent / "mood-weights.tsv"
_PER_UNIT = 100  # weights are written as hundredths
_SEGMENTS = 3  # that the present mood is made of
_FADES_TO = 0.6  # what a segment weighs beside the next one
_UNKNOWN = Sentiment("neutral", 0.34, "prosody")
_WORD = re.compile(r"[a-z']+|\d+")

Odds = tuple[float, ...]
"""How likely each of MOODS is; they add up to 1."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Something said that is not heard differently any more.

    Attributes:
        text: the words, in English.
        id: of its source; a segment with the same id takes the place of the earlier one.
        vendor_sentiment: one of MOODS, if a vendor judged it; its word counts.
        vendor_confidence: how sure the vendor is, 0..1.
    """

    text: str
    id: str = ""
    vendor_sentiment: str = ""
    vendor_confidence: float = 1.0


class _Words:
    """vaderSentiment with the phrases of calls: a phrase becomes a word of its own, which has the phrase's valence."""

    def __init__(self) -> None:
        self._analyzer = SentimentIntensityAnalyzer()
        self._phrases: list[tuple[re.Pattern[str], str]] = []
        for pattern, valence in _lines(_LEXICON):
            word = f"phrase{'minus' if valence.startswith('-') else 'plus'}{valence.strip('-').replace('.', 'x')}"
            self._analyzer.lexicon[word] = float(valence)
            self._phrases.append((re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE), word))

    def compound(self, text: str) -> float:
        """VADER's compound score of a text, -1..1."""
        score: float = self._analyzer.polarity_scores(self._with_phrases(text))["compound"]
        return score

    def _with_phrases(self, text: str) -> str:
        """The longest phrases that fit, each as one word."""
        fits = [(fit.span(), word) for pattern, word in self._phrases for fit in pattern.finditer(text)]
        fits.sort(key=lambda fit: (fit[0][0] - fit[0][1], fit[0][0]))
        taken: list[tuple[tuple[int, int], str]] = []
        for (begin, end), word in fits:
            if all(end <= other[0] or begin >= other[1] for other, _ in taken):
                taken.append(((begin, end), word))
        for (begin, end), word in sorted(taken, reverse=True):
            text = f"{text[:begin]} {word} {text[end:]}"
        return text


def _lines(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


@cache
def _words() -> _Words:
    return _Words()


@cache
def _weights() -> Mapping[str, tuple[int, int]]:
    """What each feature says for negative and for positive, against neutral; written by training/sentiment.py."""
    return {feature: (int(negative), int(positive)) for feature, negative, positive in _lines(_WEIGHTS)}


def features(text: str) -> Mapping[str, float]:
    """What a text is judged by: its words, neighbours and those one apart, and VADER's compound score with the
    phrases of calls (Hutto and Gilbert 2014), its two signs apart."""
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    words = ["<", *("0" if word.isdigit() else word for word in _WORD.findall(text.lower())), ">"]
    pairs = [" ".join(pair) for pair in pairwise(words)]
    apart = [f"{first} _ {last}" for first, last in zip(words, words[2:], strict=False)]
    threes = [" ".join(three) for three in zip(words, words[1:], words[2:], strict=False)]
    score = _words().compound(text)
    told = dict.fromkeys([*words[1:-1], *pairs, *apart, *threes], 1.0)
    return told | {"=gain": 3 * max(score, 0.0), "=loss": 3 * max(-score, 0.0), "=none": 3.0 * (score == 0), "=": 1.0}


def odds(text: str) -> Odds:
    """How likely a text is negative, neutral and positive, by a multinomial logistic regression."""
    weights = _weights()
    known = [(weights[feature], value) for feature, value in features(text).items() if feature in weights]
    logits = [sum(weight[place] * value for weight, value in known) / _PER_UNIT for place in (0, 1)]
    powers = [math.exp(logits[0]), 1.0, math.exp(logits[1])]
    return tuple(power / sum(powers) for power in powers)


def sentiment_of(text: str) -> Sentiment:
    """The mood of a text by itself, and how likely that is right."""
    return _likeliest(odds(text), "transcript")


class Mood:
    """The mood of one call: what the last few segments say, the newest most.

    A vendor's own verdict on a segment counts as it is. Before anything was said it is neutral, by prosody, which
    tells how excited somebody is but not whether they are pleased.
    """

    def __init__(self) -> None:
        self._said: deque[tuple[str, Odds, str]] = deque(maxlen=_SEGMENTS)

    def take(self, segment: Segment) -> None:
        """Somebody has finished saying something; what has no words says nothing.

        Raises:
            ValueError: the vendor's sentiment is none of MOODS.
        """
        if segment.vendor_sentiment:
            judged = (segment.id, _told(segment), "vendor")
        elif segment.text.strip():
            judged = (segment.id, odds(segment.text), "transcript")
        else:
            return
        places = [place for place, said in enumerate(self._said) if segment.id and said[0] == segment.id]
        if places:
            self._said[places[0]] = judged
        else:
            self._said.append(judged)

    @property
    def sentiment(self) -> Sentiment:
        """The mood now."""
        if not self._said:
            return _UNKNOWN
        weights = [_FADES_TO**age for age in range(len(self._said))][::-1]
        likely = [
            sum(weight * said[1][place] for weight, said in zip(weights, self._said, strict=True)) / sum(weights)
            for place in range(len(MOODS))
        ]
        return _likeliest(tuple(likely), self._said[-1][2])


def _told(segment: Segment) -> Odds:
    """A vendor's verdict as odds: what it is not sure of is shared out among the others."""
    if segment.vendor_sentiment not in MOODS:
        raise ValueError(f"sentiment {segment.vendor_sentiment!r} is none of {', '.join(MOODS)}")
    rest = (1 - segment.vendor_confidence) / 2
    return tuple(segment.vendor_confidence if mood == segment.vendor_sentiment else rest for mood in MOODS)


def _likeliest(likely: Odds, basis: str) -> Sentiment:
    best = max(range(len(MOODS)), key=lambda place: likely[place])
    return Sentiment(MOODS[best], likely[best], basis)
