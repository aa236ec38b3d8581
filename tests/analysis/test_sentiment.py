"""Mood: of phrases that neither lexicon nor training knew, of calls over time, and of vendors that judge themselves."""

from pathlib import Path

import pytest

from analysis.sentiment import Mood, Segment, odds, sentiment_of

PHRASES = Path(__file__).parents[2] / "benchmarks" / "phrases.tsv"


def test_the_mood_of_unknown_phrases_is_mostly_told_rightly_and_confidence_is_kept() -> None:
    labelled = [line.split("\t") for line in PHRASES.read_text().splitlines() if not line.startswith("#")]
    judged = [(mood, sentiment_of(text)) for mood, text in labelled]
    right = [found.sentiment == mood for mood, found in judged]
    sure = [found.sentiment == mood for mood, found in judged if found.confidence > 0.7]
    print(f"{sum(right)} of {len(right)} phrases are right, {sum(sure)} of {len(sure)} that it is sure of")
    assert len(judged) >= 200
    assert sum(right) / len(right) >= 0.85
    assert sum(sure) / len(sure) >= 0.85


@pytest.mark.parametrize("text", ["", "…", "zzz qqq", "I can't, I won't, I don't", "5" * 4000])
def test_odds_add_up_whatever_is_said(text: str) -> None:
    assert sum(odds(text)) == pytest.approx(1.0)


def test_before_anything_was_said_a_call_is_neutral_and_not_surely_so() -> None:
    sentiment = Mood().sentiment
    assert (sentiment.sentiment, sentiment.basis) == ("neutral", "prosody")
    assert sentiment.confidence < 0.5


def test_the_newest_words_weigh_most() -> None:
    mood = Mood()
    mood.take(Segment("that's wonderful, thank you so much for your help"))
    assert mood.sentiment.sentiment == "positive"
    for text in (
        "no, this is the third time I'm calling about it",
        "I've been waiting for two weeks, it's unacceptable",
    ):
        mood.take(Segment(text))
    assert (mood.sentiment.sentiment, mood.sentiment.basis) == ("negative", "transcript")


def test_a_segment_that_comes_again_takes_the_place_of_the_first() -> None:
    mood = Mood()
    mood.take(Segment("you never called me back, I'm furious", id="1"))
    mood.take(Segment("you never called me back, I'm curious", id="1"))
    once = Mood()
    once.take(Segment("you never called me back, I'm curious"))
    assert mood.sentiment == once.sentiment


def test_a_vendors_own_verdict_counts_as_it_is() -> None:
    mood = Mood()
    mood.take(Segment("that's wonderful, thank you so much", vendor_sentiment="negative", vendor_confidence=0.9))
    assert (mood.sentiment.sentiment, mood.sentiment.basis) == ("negative", "vendor")
    assert mood.sentiment.confidence == pytest.approx(0.9)
    with pytest.raises(ValueError, match="'cross'"):
        mood.take(Segment("hm", vendor_sentiment="cross"))
