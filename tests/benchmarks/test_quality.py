"""Quality held against PESQ: what a network tells of losses, and how scores are compared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import quality
from benchmarks.impairments import PACKET_MS, Fill
from benchmarks.quality import LINE_S, Line, compare, sample_of

PACKETS = 1000 * LINE_S // PACKET_MS
SCORES = st.lists(st.floats(1, 4.5), min_size=3, max_size=20, unique=True)


def spurts(*packets: tuple[int, int]) -> list[tuple[int, int]]:
    """Lost from packet to packet, in ms."""
    return [(first * PACKET_MS, end * PACKET_MS) for first, end in packets]


def test_the_share_and_the_bursts_of_what_is_lost_are_told() -> None:
    told = sample_of(spurts((10, 12), (50, 54)), "PCMU", Fill.REPEAT)
    share = 6 / PACKETS
    assert told.loss_pct == pytest.approx(100 * share)
    assert told.burst_r == pytest.approx(3 * (1 - share))


def test_a_line_without_losses_is_told_to_have_none() -> None:
    told = sample_of([], "GSM", Fill.ZERO)
    assert (told.loss_pct, told.burst_r, told.codec) == (0.0, 1.0, "GSM")


@pytest.mark.parametrize(
    ("codec", "fill", "named"),
    [
        ("PCMU", Fill.ZERO, "g711-noplc"),
        ("PCMA", Fill.ZERO, "g711-noplc"),
        ("PCMU", Fill.REPEAT, "PCMU"),
        ("GSM", Fill.ZERO, "GSM"),
    ],
)
def test_g711_that_plays_silence_is_told_to_conceal_nothing(codec: str, fill: Fill, named: str) -> None:
    assert sample_of(spurts((5, 6)), codec, fill).codec == named


@given(SCORES, st.floats(-0.5, 0.5))
def test_scores_that_are_all_off_by_as_much_go_with_pesq_and_tell_by_how_much(scores: list[float], off: float) -> None:
    if np.ptp(scores) < 0.01:
        scores[0] += 1.0
    figures = compare([Line("PCMU", Fill.ZERO, score, score + off) for score in scores])
    assert figures["pearson"] == 1.0
    assert figures["bias"] == pytest.approx(off, abs=0.006)
    assert figures["rmse"] == pytest.approx(abs(off), abs=0.006)


def test_without_pesq_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["benchmarks.quality", "--quick"])
    assert quality.main() == 1
    assert "pesq is not installed" in capsys.readouterr().err
