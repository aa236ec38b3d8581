"""What the accuracy benchmark counts, over calls of which both the truth and what was heard are made up."""

import json
from typing import Any, cast

import numpy as np
import pytest

from benchmarks import accuracy, faults, figures
from benchmarks.calls import Damage, LabelledCall, Line
from benchmarks.conditions import ERL_DB
from benchmarks.figures import Row
from benchmarks.heard import Bench, Calls, Heard
from benchmarks.impairments import Echo, Fill, Loss
from tests.benchmarks.test_calls import call, said

LOST = [(2000, 2040), (3000, 3020)]


def heard(made: LabelledCall, *anomalies: dict[str, Any]) -> Heard:
    return Heard(made, list(anomalies), np.zeros_like(made.speech))


def anomaly(type: str, channel: str = "caller", **metadata: Any) -> dict[str, Any]:
    return {
        "record": "anomaly",
        "type": type,
        "channel": channel,
        "detectedAt": 3000,
        "confidence": 0.92,
        "metadata": metadata,
    }


def lossy(fill: Fill, found: list[tuple[int, int]]) -> Heard:
    """A caller who talks from 1 to 8 s, with two losses, and what was found of them."""
    made = call([Line(0, 100, said(7))])
    made = LabelledCall(
        made.samples, 8000, made.channels, made.active, [], [LOST, []], Damage(loss=Loss(0.02, 1.5, fill))
    )
    return heard(made, anomaly("dropouts", intervals=found))


def calls(*clean: Heard) -> Calls:
    echo = Damage(echo=Echo(channel=1, delay_ms=200, erl_db=20))
    echoing = [
        heard(call([Line(0, 100, said(3))], echo), anomaly("echo", "agent", delayMs=210)),
        heard(call([Line(0, 100, said(3))], echo)),
    ]
    return {
        "polite": clean or [heard(call([]))],
        "clipped": [heard(call([], Damage(clipped=(0, 1), clipped_db=8)), anomaly("distortion"))],
        f"lost, {Fill.ZERO}": [lossy(Fill.ZERO, [(1990, 2010), (5000, 5020)])],
        f"lost, {Fill.REPEAT}": [lossy(Fill.REPEAT, LOST)],
        f"lost, {Fill.COMFORT}": [lossy(Fill.COMFORT, [])],
        **{f"ERL {erl_db} dB": echoing for erl_db in ERL_DB},
    }


def rows(of: Calls) -> dict[str, Row]:
    return {row.name: row for row in figures.anomaly_rows(of)}


def test_losses_are_counted_one_by_one_and_so_are_false_ones() -> None:
    told = rows(calls())
    assert [told[f"lost packets found, {fill}"].figure for fill in Fill] == [0.5, 1.0, 0.0]
    assert told["false losses a minute"].figure == pytest.approx(2), "one in three calls of 10 s"
    assert told["lost packets found, zero"].missed
    assert not told["lost packets found, comfort noise"].missed


def test_an_echo_is_found_in_time_on_the_channel_that_has_it_with_its_delay() -> None:
    told = rows(calls())
    assert {told[f"echo of ERL {erl_db} dB found within 20 s of far speech"].figure for erl_db in ERL_DB} == {0.5}
    assert told["echo delays right within 20 ms"].figure == 1.0
    assert told["false echoes in 10 h"].figure == 0.0


def test_what_is_found_in_clean_calls_is_false() -> None:
    told = rows(calls(heard(call([]), anomaly("echo", delayMs=100)), heard(call([]))))
    assert told["false anomalies in an hour of clean calls"].figure == 180, "one in 20 s"
    assert told["false echoes in 10 h"].missed
    assert told["clipping of 6 dB or more found"].figure == 0.5


def test_confidences_are_gathered_by_type_and_over_all() -> None:
    bins = figures.confidences(calls())
    assert [(one.count, one.right) for one in bins["echo"]] == [(len(ERL_DB), 1.0)]
    assert [(one.count, one.right) for one in bins["all"]] == [(len(ERL_DB) + 3, 1.0)]


class Told:
    """A bench that knows what would be heard."""

    def __init__(self) -> None:
        self.calls: dict[str, list[Heard]] = {}

    def run(self, condition: str, make: object, count: int, rate_hz: int = 8000, *, with_peers: bool = False) -> None:
        one = calls().get(condition, [heard(call([Line(0, 100, said(3)), Line(1, 300, said(2.5))], seconds=90))])[0]
        self.calls[condition] = [Heard(one.call, one.records, one.speech, {"webrtcvad": one.speech})] * count


@pytest.mark.parametrize("quick", [True, False])
def test_every_condition_is_in_a_table_with_its_targets_and_the_record_is_json(quick: bool) -> None:
    bench = Told()
    accuracy.hear_all(cast(Bench, bench), quick=quick)
    results = accuracy.Results.of(bench.calls)
    printed = "\n".join(results.tables())
    for said_of in (*figures.LEAST_F1, *faults.ANOMALIES, "P.56", "E-model", "moods", "hold music", "tones"):
        assert said_of.replace("speech", "Speech, F1") in printed
    assert "≥ 0.95  missed" in printed
    assert json.loads(json.dumps(results.record()))["anomalies"]["echo"]["labels"] > 0
