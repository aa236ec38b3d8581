"""Quality: the E-model at its test points, the active speech level, and how windows become a verdict."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from analysis.active_level import ActiveLevel
from analysis.emodel import Line, burst_ratio, codec_named, effective_ie, mos, rating, rating_of
from analysis.quality import NetworkSample, QualityJudge, network_rating
from analysis.vitals import Vitals
from tests.services import missing

SOUNDS = Path("/usr/share/asterisk/sounds")
LOSSES_PCT = (0, 1, 3, 5, 10)


def test_the_default_line_has_the_rating_that_g107_gives() -> None:
    assert rating(Line()) == pytest.approx(93.2062, abs=5e-5)
    assert mos(rating(Line())) == pytest.approx(4.4094, abs=5e-5)


@pytest.mark.parametrize(("r", "score"), [(90, 4.34), (80, 4.02), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_a_rating_becomes_the_score_of_the_recommendation(r: float, score: float) -> None:
    assert mos(r) == pytest.approx(score, abs=0.005)


@pytest.mark.parametrize(("score", "r"), [(3.0, 58.08), (2.5, 48.57)])
def test_a_score_becomes_its_rating(score: float, r: float) -> None:
    assert rating_of(score) == pytest.approx(r, abs=0.005)


@given(st.floats(1.0, 4.5))
def test_the_way_back_from_a_score_ends_at_the_score(score: float) -> None:
    assert mos(rating_of(score)) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("score", [0.99, 4.51, math.nan])
def test_a_score_that_is_none_is_named(score: float) -> None:
    with pytest.raises(ValueError, match=str(score)):
        rating_of(score)


@pytest.mark.parametrize(("r", "score"), [(-10, 1.0), (0, 1.0), (3, 1.0), (100, 4.5), (120, 4.5)])
def test_ratings_beyond_the_scale_are_as_bad_or_good_as_can_be(r: float, score: float) -> None:
    assert mos(r) == score


@pytest.mark.parametrize(("delay_ms", "cost"), [(100, 0.0), (150, 0.2), (200, 3.0), (300, 14.8), (400, 24.1)])
def test_absolute_delay_costs_what_g107_says(delay_ms: float, cost: float) -> None:
    assert rating(Line()) - rating(Line(ta=delay_ms)) == pytest.approx(cost, abs=0.05)


@pytest.mark.parametrize(("telr", "delay_ms", "r"), [(45, 100, 70.1), (35, 50, 62.9)])
def test_talker_echo_costs_what_g107_says(telr: float, delay_ms: float, r: float) -> None:
    assert rating(Line(telr=telr, t=delay_ms, ta=delay_ms, tr=2 * delay_ms)) == pytest.approx(r, abs=0.05)


@pytest.mark.parametrize(
    ("codec", "scores"),
    [
        ("G711-noPLC", (4.41, 3.83, 2.79, 2.17, 1.48)),
        ("PCMU", (4.41, 4.33, 4.13, 3.92, 3.41)),
        ("G.729", (4.10, 3.95, 3.63, 3.34, 2.75)),
        ("G723", (3.95, 3.76, 3.39, 3.06, 2.45)),
        ("audio/GSM-EFR", (4.29, 4.02, 3.47, 3.01, 2.22)),
    ],
)
def test_codecs_under_loss_score_as_g113_says(codec: str, scores: tuple[float, ...]) -> None:
    known = codec_named(codec)
    assert known is not None
    lines = [Line(ie=known.ie, bpl=known.bpl, ppl=loss) for loss in LOSSES_PCT]
    assert [mos(rating(line)) for line in lines] == pytest.approx(scores, abs=0.005)


def test_a_codec_that_nothing_is_published_for_is_unknown() -> None:
    assert codec_named("L16") is None


def test_losses_in_bursts_are_worse_than_the_same_at_random() -> None:
    assert burst_ratio(lost=10, bursts=10, loss_share=0.1) == 1.0
    assert burst_ratio(lost=40, bursts=10, loss_share=0.05) == pytest.approx(3.8)
    assert burst_ratio(lost=0, bursts=0, loss_share=0.0) == 1.0
    random, bursty = (effective_ie(Line(bpl=25.1, ppl=5, burst_r=r)) for r in (1.0, 3.8))
    assert bursty > random


@pytest.mark.parametrize(
    ("recording", "level_dbov", "activity_pct"),
    [
        ("en_US_f_Allison/vm-intro.wav", -18.646, 94.94),
        ("en_US_f_Allison/conf-adminmenu.wav", -17.646, 90.32),
        ("fr_CA_f_June/vm-intro.wav", -23.540, 96.89),
    ],
)
def test_the_active_level_is_that_of_the_itus_own_program(
    recording: str, level_dbov: float, activity_pct: float
) -> None:
    path = SOUNDS / recording
    if not path.exists():
        missing(f"{path} is not installed (asterisk-core-sounds-en-wav, asterisk-core-sounds-fr-wav)")
    rate, samples = wavfile.read(path)
    meter = ActiveLevel(rate)
    meter.push(samples)
    assert meter.level_dbov() == pytest.approx(level_dbov, abs=0.1)
    assert 100 * meter.activity() == pytest.approx(activity_pct, abs=0.5)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_the_active_level_does_not_depend_on_how_audio_was_cut(pieces: list[int]) -> None:
    time = np.arange(8000) / 8000
    samples = (9000 * np.sin(700 * time) * (np.sin(15 * time) > 0.2)).astype(np.int16)
    whole, cut = ActiveLevel(8000), ActiveLevel(8000)
    whole.push(samples)
    edges = [0, *np.minimum(np.cumsum(pieces), len(samples)).tolist(), len(samples)]
    for begin, end in pairwise(edges):
        cut.push(samples[begin:end])
    assert cut.level_dbov() == pytest.approx(whole.level_dbov(), abs=1e-6)


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(8000, np.int16)])
def test_where_nothing_sounds_there_is_no_active_level(samples: np.ndarray) -> None:
    meter = ActiveLevel(8000)
    meter.push(samples)
    assert meter.level_dbov() is None
    assert meter.activity() == 0.0


def test_a_network_that_tells_only_a_score_is_believed() -> None:
    assert network_rating(NetworkSample(mos=3.0)) == pytest.approx(58.08, abs=0.005)
    assert network_rating(NetworkSample(mos=5.0)) == pytest.approx(100)
    assert network_rating(NetworkSample()) is None


def test_what_the_network_tells_is_more_than_a_score() -> None:
    assert network_rating(NetworkSample(loss_pct=0, rtt_ms=60, jitter_ms=2, mos=1.0)) > 90


GOOD, BAD = NetworkSample(mos=3.0), NetworkSample(mos=2.99)


def judged(judge: QualityJudge, *samples: NetworkSample) -> list[bool]:
    verdicts = [judge.judge([sample]) for sample in samples]
    return [verdict.degraded for verdict in verdicts if verdict]


def test_three_bad_windows_of_five_degrade_a_call_and_five_good_ones_end_it() -> None:
    judge = QualityJudge()
    assert judged(judge, BAD, GOOD, BAD, GOOD, BAD) == [False, False, False, False, True]
    assert judged(judge, GOOD, GOOD, GOOD, GOOD) == [True] * 4
    assert judged(judge, GOOD) == [False]
    assert judged(judge, BAD, BAD) == [False, False]


def test_a_call_is_as_good_as_its_worst_channel() -> None:
    verdict = QualityJudge().judge([NetworkSample(loss_pct=0), NetworkSample(loss_pct=10, codec="G729"), None])
    assert verdict is not None
    assert verdict.record() == {"mosScore": 2.71, "rFactor": 52.6, "degraded": False, "basis": "network"}


def test_a_window_of_which_nothing_is_known_is_no_window() -> None:
    assert QualityJudge().judge([None, NetworkSample()]) is None


def test_what_is_told_counts_for_three_windows_and_then_needs_news() -> None:
    vitals = Vitals(("caller", "agent"))
    assert [result.quality for result in vitals.judge_until(9999)] == [None]
    vitals.tell(NetworkSample("agent", loss_pct=2))
    known = [result.quality is not None for result in vitals.judge_until(30_000)]
    assert known == [True, True, True, False, False]
    with pytest.raises(ValueError, match="'boss'"):
        vitals.tell(NetworkSample("boss", loss_pct=2))
