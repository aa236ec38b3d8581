"""What is true of the audio of labelled calls, and how findings of it are counted."""

from typing import Any

import numpy as np
import pytest

from analysis.audio import Encoding
from benchmarks.calls import Damage, Line
from benchmarks.faults import UNCLEAR, Truth, judged, most_silent_percent, score, truth
from benchmarks.figures import Row
from benchmarks.impairments import Echo, Fill, Loss, Misreading, Step
from benchmarks.scoring import Score
from tests.benchmarks.test_calls import call, said


def anomaly(type: str, channel: str, confidence: float = 0.9) -> dict[str, Any]:
    return {"record": "anomaly", "type": type, "channel": channel, "confidence": confidence}


def noise(n: int, random: np.random.Generator) -> np.ndarray:
    return random.standard_normal(n)


@pytest.mark.parametrize(
    ("type", "damage"),
    [
        ("echo", Damage(echo=Echo(1, 100, 20))),
        ("distortion", Damage(clipped=(1,), clipped_db=8)),
        ("volume_inconsistency", Damage(step=Step(1, 5, -14))),
        ("wrong_format", Damage(misread=Misreading(1, Encoding.MULAW))),
    ],
)
def test_what_is_done_to_one_channel_is_true_of_it_and_not_of_the_other(type: str, damage: Damage) -> None:
    made = call([Line(0, 100, said(3))], damage)
    assert truth(made, type, "agent") == Truth(True)
    assert truth(made, type, "caller") == Truth(False)
    assert truth(call([]), type, "agent") == Truth(False)


@pytest.mark.parametrize(("snr_db", "expected"), [(15, (True, True)), (19, (True, False)), (24, (False, True))])
def test_noise_near_the_limit_is_not_clear(snr_db: float, expected: tuple[bool, bool]) -> None:
    assert truth(call([], Damage(noise=noise, snr_db=snr_db)), "background_noise", "agent") == expected


def test_losses_that_cannot_be_heard_count_neither_way() -> None:
    for fill, expected in ((Fill.ZERO, Truth(True)), (Fill.COMFORT, None)):
        assert truth(call([], Damage(loss=Loss(0.1, 1.5, fill))), "dropouts", "caller") == expected


def test_of_raised_voices_neither_clipping_nor_levels_are_known() -> None:
    made = call([Line(0, 100, said(3)), Line(0, 500, said(3), gain_db=15)], Damage(clipped=(0,), clipped_db=8))
    assert [truth(made, type, "caller") for type in ("distortion", "volume_inconsistency")] == [None, None]


def test_a_call_is_as_silent_as_its_most_silent_minute() -> None:
    made = call([Line(0, 0, said(20)), Line(1, 7000, said(10))], seconds=90)
    assert most_silent_percent(made) == pytest.approx(50 / 60 * 100, abs=0.1)
    assert truth(made, "excessive_silence", "all") == Truth(True)
    assert most_silent_percent(call([])) == 0


def test_each_anomaly_is_looked_for_once_and_false_ones_count_each() -> None:
    made = call([Line(0, 100, said(3))], Damage(echo=Echo(1, 100, 20)))
    found = [
        anomaly("echo", "agent"),
        anomaly("echo", "agent"),
        anomaly("echo", "caller"),
        anomaly("dropouts", "agent"),
    ]
    scores = score(made, found)
    assert scores["echo"] == Score(hits=1, misses=0, false=1)
    assert scores["dropouts"] == Score(hits=0, misses=0, false=1)
    assert score(made, [])["echo"] == Score(hits=0, misses=1, false=0)


def test_confidences_are_held_against_the_truth_where_that_is_known() -> None:
    made = call([], Damage(noise=noise, snr_db=19, loss=Loss(0.1, 1.5, Fill.COMFORT)))
    found = [anomaly("background_noise", "agent", 0.6), anomaly("dropouts", "agent"), anomaly("echo", "agent", 0.7)]
    assert list(judged(made, found)) == [("background_noise", 0.6, True), ("echo", 0.7, False)]
    soft = call([], Damage(step=Step(1, 5, -14)))
    assert truth(soft, "background_noise", "agent") == UNCLEAR
    assert list(judged(soft, [anomaly("background_noise", "agent")])) == []


def test_an_unknown_anomaly_is_named() -> None:
    with pytest.raises(ValueError, match="'ghosts'"):
        truth(call([]), "ghosts", "agent")


def test_a_figure_is_missed_beyond_its_bound_and_a_figure_of_nothing_is_not() -> None:
    assert [Row("", figure, least=0.9).missed for figure in (0.89, 0.9, None)] == [True, False, False]
    assert [Row("", figure, most=1.0).missed for figure in (1.0, 1.1, None)] == [False, True, False]
