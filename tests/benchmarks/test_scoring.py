"""Scoring: one to one, by type, channel and onset; what is in doubt counts neither way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring import Score, Span, add, calibration, frame_score, match, score

OVERLAP = Span("overlap", "all", 1000, 1500)


def figures(found: list[Span], labels: list[Span], type: str = "overlap") -> tuple[int, int, int]:
    result = score(found, labels)[type]
    return result.hits, result.misses, result.false


@pytest.mark.parametrize(
    ("found", "hit"),
    [
        (OVERLAP, True),
        (OVERLAP._replace(start=1300, end=2000), True),
        (OVERLAP._replace(start=1301, end=2000), False),
        (OVERLAP._replace(start=700, end=1001), True),
        (OVERLAP._replace(start=800, end=1000), False),
        (OVERLAP._replace(channel="caller"), False),
        (OVERLAP._replace(type="interrupt"), False),
    ],
)
def test_a_finding_matches_by_type_channel_intersection_and_onset(found: Span, hit: bool) -> None:
    assert bool(match([found], [OVERLAP])) is hit


@pytest.mark.parametrize("type", ["long_pause", "silence/quiet", "silence/one_way"])
def test_pauses_and_silences_may_be_500_ms_off(type: str) -> None:
    label = Span(type, "all", 5000, 9000)
    assert match([label._replace(start=5500)], [label])
    assert not match([label._replace(start=5501)], [label])


def test_two_findings_of_one_label_are_a_hit_and_a_false_one() -> None:
    assert figures([OVERLAP, OVERLAP._replace(start=1200)], [OVERLAP]) == (1, 0, 1)
    assert figures([OVERLAP, OVERLAP], [OVERLAP]) == (1, 0, 1)


def test_the_nearest_onsets_go_together() -> None:
    late = OVERLAP._replace(start=1250)
    ((found, label),) = match([OVERLAP._replace(start=1200)], [OVERLAP, late])
    assert label == late
    assert score([found], [OVERLAP, late])["overlap"].onset_errors_ms == [50]


def test_what_is_in_doubt_counts_neither_way_whether_found_or_not() -> None:
    doubtful = OVERLAP._replace(sure=False)
    assert figures([OVERLAP], [doubtful]) == (0, 0, 0)
    assert figures([], [doubtful]) == (0, 0, 0)


def test_scores_add_up_and_give_f1() -> None:
    total = add([score([OVERLAP], [OVERLAP]), score([OVERLAP], []), score([], [OVERLAP])])["overlap"]
    assert (total.hits, total.misses, total.false) == (1, 1, 1)
    assert (total.recall, total.precision, total.f1) == (0.5, 0.5, 0.5)
    assert Score().f1 == 1.0, "nothing to find and nothing found"


spans = st.lists(
    st.builds(
        lambda type, start, length, sure: Span(type, "all", start, start + length, sure),
        st.sampled_from(["overlap", "long_pause"]),
        st.integers(0, 3000),
        st.integers(1, 900),
        st.booleans(),
    ),
    max_size=8,
)


@given(spans, spans)
def test_nothing_is_counted_twice_or_lost(found: list[Span], labels: list[Span]) -> None:
    for type, result in score(found, labels).items():
        sure = sum(label.sure for label in labels if label.type == type)
        assert result.hits + result.misses == sure
        assert result.hits + result.false <= sum(finding.type == type for finding in found)
        assert len(result.onset_errors_ms) == result.hits


@given(spans)
def test_the_truth_itself_scores_1(labels: list[Span]) -> None:
    assert all(result.misses == result.false == 0 for result in score(labels, labels).values())


def test_frames_are_pooled() -> None:
    truth = np.array([[1, 1, 1, 0], [0, 0, 1, 1]], bool)
    found = np.array([[1, 1, 0, 0], [1, 0, 1, 1]], bool)
    result = frame_score(found, truth)
    assert (result.hits, result.misses, result.false) == (4, 1, 1)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        frame_score(found[:, :3], truth)


def test_confidence_is_calibrated_where_it_is_the_share_that_is_right() -> None:
    honest = [(0.9, number % 10 > 0) for number in range(100)]
    boastful = [(0.55, number % 10 > 6) for number in range(50)]
    few = [(0.12, True)] * 49
    assert [one.calibrated for one in calibration(honest + boastful + few)] == [True, False, True]
    assert [one.count for one in calibration([(0.0, True), (1.0, True)])] == [1, 1]
    with pytest.raises(ValueError, match=r"1\.5"):
        calibration([(1.5, True)])
