"""Memory over time: a call that lasts for a day, and thousands of calls in a row, heard as fast as can be.

`python -m benchmarks.endurance [--quick]` prints what this process holds as time passes and, last, one line of JSON.
In full one call lasts for 24 hours and 10,000 short ones follow each other. `--quick` hears 64 calls of half an hour
side by side instead, in which what grows with a call grows 64 times as fast, and 2,000 short ones.
"""

import analysis.blas  # noqa: F401 - before anything that imports NumPy

# isort: split
import argparse
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.audio import decode, open_recording
from analysis.bank import CallBank
from analysis.findings import AnalysisResult, Finding
from analysis.quality import NetworkSample
from analysis.sentiment import Segment
from analysis.summary import CallSummary

SAMPLE = Path(__file__).parents[1] / "samples" / "call.wav"
RATE_HZ = 8000
HOUR_S, MINUTE_S = 3600, 60
READ_EVERY_S = 5 * MINUTE_S
WARM_UP_S = 10 * MINUTE_S  # in which a call meets everything that the sample has, and buffers find their sizes
WARM_UP_CALLS = 1000
SHORT_CALL_S = 6
AT_ONCE = 250  # short calls
MOST_KB = {"kB a call and hour": 64.0, "kB a short call": 0.5}

Samples = NDArray[np.int16]
"""(n, channels) at 8 kHz."""


class Reading(NamedTuple):
    """What the process holds after so many hours, or calls; and what it has spent until then."""

    after: float
    resident_kb: int
    cpu_s: float

    @classmethod
    def now(cls, after: float) -> "Reading":
        """Of this process, by Linux' /proc, what is free given back first."""
        gc.collect()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # musl has none
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return cls(after, pages * os.sysconf("SC_PAGE_SIZE") // 1024, time.process_time())


class Calls:
    """Calls in one bank, each with its summary, as the server keeps them."""

    def __init__(self) -> None:
        self._bank = CallBank()
        self._summaries: dict[str, CallSummary] = {}

    def begin(self, call_id: str) -> None:
        """A call begins."""
        self._bank.open(call_id)
        self._summaries[call_id] = CallSummary()

    def hear(self, audio: Mapping[str, Samples]) -> None:
        """The next audio of calls, by id."""
        for call_id, samples in audio.items():
            self._bank.push(call_id, samples)
        self._keep(self._bank.tick(), self._bank.results)

    def tell(self, call_id: str, told: NetworkSample | Segment) -> None:
        """What is known of a call besides its sound."""
        self._bank.tell(call_id, told)

    def end(self, call_id: str) -> str:
        """A call is over: its summary."""
        found = [(call_id, finding) for finding in self._bank.close(call_id)]
        self._keep(found, self._bank.results)
        return self._summaries.pop(call_id).text(self._bank.stats(call_id))

    def _keep(self, found: Iterable[tuple[str, Finding]], results: Iterable[tuple[str, AnalysisResult]]) -> None:
        for call_id, finding in found:
            self._summaries[call_id].take(finding)
        for call_id, result in results:
            self._summaries[call_id].take_result(result)


def second_of(sample: Samples, second: int, random: np.random.Generator) -> Samples:
    """A second of a call that goes round: each fifth minute is noise, of each tenth second 40 ms are lost."""
    start = second * RATE_HZ % (len(sample) - RATE_HZ)
    piece = sample[start : start + RATE_HZ].copy()
    if second // MINUTE_S % 5 == 4:
        piece[:] = random.normal(0.0, 300.0, piece.shape)
    if second % 10 == 9:
        piece[2000:2320] = 0
    return piece


def long_calls(calls: int, hours: float, sample: Samples) -> Iterator[Reading]:
    """Calls side by side, with words and network samples; a reading each five minutes of theirs."""
    heard, ids = Calls(), [f"call {number}" for number in range(calls)]
    random = np.random.default_rng(1)
    for call_id in ids:
        heard.begin(call_id)
    for second in range(round(hours * HOUR_S)):
        heard.hear({name: second_of(sample, second + 7 * number, random) for number, name in enumerate(ids)})
        if second % 10 == 0:
            for call_id in ids:
                heard.tell(call_id, NetworkSample(loss_pct=second % 7, rtt_ms=80.0))
                heard.tell(call_id, Segment("I have been waiting for an hour"))
        if (second + 1) % READ_EVERY_S == 0:
            yield Reading.now((second + 1) / HOUR_S)


def short_calls(calls: int, sample: Samples) -> Iterator[Reading]:
    """Calls of six seconds, 250 at once, and then the next; a reading after each 250."""
    heard, random = Calls(), np.random.default_rng(2)
    for first in range(0, calls, AT_ONCE):
        ids = [f"call {number}" for number in range(first, first + AT_ONCE)]
        for call_id in ids:
            heard.begin(call_id)
        for second in range(SHORT_CALL_S):
            heard.hear({name: second_of(sample, second + 7 * number, random) for number, name in enumerate(ids)})
        for call_id in ids:
            heard.end(call_id)
        yield Reading.now(first + AT_ONCE)


def growth_kb(readings: list[Reading], warm_up: float, of_each: int = 1) -> float:
    """By how much what is held grows with each hour or call, once it is warm: the slope of a straight line, kB."""
    after, resident_kb, _ = np.array([one for one in readings if one.after >= warm_up], dtype=np.float64).T
    return float(np.polyfit(after, resident_kb, 1)[0]) / of_each


def table(name: str, readings: list[Reading], every: float) -> Iterator[str]:
    """Readings for people, the first and then one in `every`."""
    yield f"\n{name:>14}{'resident MB':>14}{'CPU s':>9}"
    next_at = 0.0
    for one in readings:
        if one.after >= next_at or one is readings[-1]:
            yield f"{one.after:14.2f}{one.resident_kb / 1024:14.1f}{one.cpu_s:9.0f}"
            next_at = one.after + every


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 calls of half an hour, and 2,000 short ones")
    options = parser.parse_args()
    recording = open_recording(SAMPLE)
    sample = decode(b"".join(recording.blocks()), recording.encoding).reshape(-1, recording.channels)
    calls, hours, short = (64, 0.5, 2000) if options.quick else (1, 24.0, 10_000)
    shorts = list(short_calls(short, sample))
    sys.stdout.write("\n".join(table("short calls", shorts, short / 8)) + "\n")
    sys.stdout.flush()
    longs = list(long_calls(calls, hours, sample))
    sys.stdout.write("\n".join(table(f"hours, {calls} call(s)", longs, hours / 24)) + "\n\n")
    figures = {
        "kB a short call": growth_kb(shorts, WARM_UP_CALLS),
        "kB a call and hour": growth_kb(longs, WARM_UP_S / HOUR_S, calls),
    }
    for name, figure in figures.items():
        sys.stdout.write(
            f"{name:24}{figure:10.2f}  ≤ {MOST_KB[name]:g}{'  missed' if figure > MOST_KB[name] else ''}\n"
        )
    record: dict[str, Any] = {"benchmark": "endurance", "quick": options.quick, "growth": figures, "most": MOST_KB}
    record |= {"longCalls": {"calls": calls, "hours": hours}, "shortCalls": short}
    sys.stdout.write("\n" + json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
