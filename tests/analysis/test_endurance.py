"""Memory: what a bank and the summaries of its calls hold grows neither with the length of calls nor with their number.

`python -m benchmarks.endurance` does the same for hours, by what the process takes.
"""

import gc
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np

from analysis import CallBank, Finding
from analysis.findings import State
from analysis.quality import NetworkSample
from analysis.sentiment import Segment
from analysis.summary import CallSummary
from tests.analysis.test_invariance import MS, SAMPLES
from tests.analysis.voices import LevelVad

ELSEWHERE = (type, ModuleType, FunctionType, BuiltinFunctionType)


def held_bytes(*roots: object) -> int:
    """The size of all that these refer to, themselves included; code and its globals are left out."""
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, ELSEWHERE):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
            waiting += [one.base] if isinstance(one, np.ndarray) and one.base is not None else []
    return sum(map(sys.getsizeof, seen.values()))


def keep(summaries: dict[str, CallSummary], bank: CallBank, found: Iterable[tuple[str, Finding]]) -> None:
    for call_id, finding in found:
        summaries[call_id].take(finding)
    for call_id, result in bank.results:
        summaries[call_id].take_result(result)


def test_what_is_held_can_be_counted() -> None:
    array = np.zeros(1000)
    assert held_bytes([array[10:], array]) > 8000
    assert held_bytes({"a": [bytes(5000)]}) > held_bytes({"a": [bytes(4000)]}) + 900


def test_a_call_holds_no_more_after_minutes_than_after_one() -> None:
    bank, summaries = CallBank(vad=LevelVad()), {"c": CallSummary()}
    bank.open("c")
    held = []
    for number in range(10):
        bank.tell("c", NetworkSample(loss_pct=3.0 * (number % 3), rtt_ms=80.0))
        bank.tell("c", Segment(f"I have been waiting for {number} hours"))
        bank.push("c", SAMPLES)
        keep(summaries, bank, bank.tick())
        held.append(held_bytes(bank, summaries))
    assert bank.stats("c").heard_ms > 9 * MS
    assert sum(summaries["c"].events.values()) > 50
    assert held[-1] - held[5] < 500, f"a minute more took {held[-1] - held[5]} bytes"


def test_a_thousand_calls_in_a_row_leave_nothing_behind() -> None:
    bank, summaries = CallBank(vad=LevelVad()), dict[str, CallSummary]()
    held = []
    for batch in range(10):
        ids = [f"{batch}.{number}" for number in range(100)]
        for call_id in ids:
            bank.open(call_id, channels=(f"caller of {call_id}", "agent"))
            summaries[call_id] = CallSummary()
            bank.push(call_id, SAMPLES[4000:8000])
        keep(summaries, bank, bank.tick())
        for call_id in ids:
            keep(summaries, bank, [(call_id, finding) for finding in bank.close(call_id)])
            del summaries[call_id]
        held.append(held_bytes(bank, summaries))
    assert abs(held[-1] - held[1]) < 2000


def test_a_line_that_loses_packets_all_the_time_costs_little_more_than_a_good_one() -> None:
    bank = CallBank(vad=LevelVad())
    bank.open("c")
    lossy = SAMPLES[: 3000 * 8].copy()
    for at in range(0, len(lossy), 800):  # one packet in five
        lossy[at : at + 160] = 0
    held = []
    for _ in range(12):
        bank.push("c", lossy)
        bank.tick()
        held.append(held_bytes(bank))
    closed = bank.close("c")
    (dropouts,) = [f.event for f in closed if f.event.type == "dropouts" and f.event.channel == "caller"]
    assert dropouts.metadata["count"] > 200
    assert held[-1] - held[3] < 2 * 24 * 330, "480 losses, in 24 bytes each and some air"


def test_a_finding_that_never_ends_is_held_once() -> None:
    bank = CallBank(vad=LevelVad())
    bank.open("c")
    bank.push("c", SAMPLES[: 3000 * 8])
    bank.tick()
    held = []
    for _ in range(8):
        bank.gap("c", 10 * 8000)
        assert [f.state for _, f in bank.tick()].count(State.OPENED) <= 4
        held.append(held_bytes(bank))
    assert held[-1] - held[3] < 500
