"""How many calls one core hears: everything on, ticks of 200 ms, beside other detectors and one call at a time.

`python -m benchmarks.hearing_speed [--quick]` prints a table and, last, one line of JSON. All figures are two-channel
8 kHz calls in real time, from the CPU time of this process. The measurements take turns, so that what else runs on the
machine is spread over all of them, and the median counts.
"""

import analysis.blas  # noqa: F401 - before anything that imports NumPy

# isort: split
import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import scipy.fft

from analysis.audio import Encoding, decode, open_recording
from analysis.bank import CallBank
from benchmarks.peers import Detector, peers

SAMPLE = Path(__file__).parents[1] / "samples" / "call.wav"
RATE_HZ = 8000
TICK_MS = 200
SIZES = (1, 10, 100, 1000)
TARGET = {"calls": 4000, "timesOneAtATime": 7.0}  # at 100 calls or more
_TICK_BYTES = 2 * RATE_HZ * TICK_MS // 1000  # µ-law, two channels
_PEER_S = 20  # of a call, what a peer hears at a time
_WARM_UP_S = 5

Turn = Callable[[], float]
"""Hears some audio; how many call seconds it was."""


def bank_of(calls: int, audio: bytes) -> Turn:
    """Hears this many calls together, one tick a turn; each begins elsewhere in the recording and goes round."""
    bank, ids = CallBank(), [f"call {number}" for number in range(calls)]
    for name in ids:
        bank.open(name, RATE_HZ, encoding=Encoding.MULAW)
    ring = audio + audio[:_TICK_BYTES]
    place = [len(audio) // 2 * number // calls * 2 for number in range(calls)]

    def turn() -> float:
        for number, name in enumerate(ids):
            bank.push(name, ring[place[number] : place[number] + _TICK_BYTES])
            place[number] = (place[number] + _TICK_BYTES) % len(audio)
        bank.tick()
        return calls * TICK_MS / 1000

    for _ in range(_WARM_UP_S * 1000 // TICK_MS):
        turn()
    return turn


def detector_alone(detector: Detector, audio: bytes) -> Turn:
    """Asks another detector about both channels of the call."""
    channels = decode(audio[: 2 * RATE_HZ * _PEER_S], Encoding.MULAW).reshape(-1, 2).T.copy()

    def turn() -> float:
        for samples in channels:
            detector(samples, RATE_HZ)
        return _PEER_S

    return turn


def transform_alone(audio: bytes) -> Turn:
    """One float32 spectrum of each 20 ms, of many calls at once: the least that looking at spectra costs."""
    frames = decode(audio, Encoding.MULAW).reshape(-1, RATE_HZ // 50)
    seconds = len(frames) / 2 / 50

    def turn() -> float:
        for first in range(0, len(frames), 512):  # which stay in the cache
            scipy.fft.rfft(frames[first : first + 512].astype(np.float32), axis=1)
        return seconds

    return turn


def measure(turns: Mapping[str, Turn], rounds: int, least_s: float) -> dict[str, list[float]]:
    """Calls a core of each, by round; in each round each takes its turns for `least_s` of CPU time."""
    figures: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            heard, began = 0.0, time.process_time()
            while (spent := time.process_time() - began) < least_s:
                heard += turn()
            figures[name].append(heard / spent)
    return figures


def all_turns(audio: bytes) -> dict[str, Turn]:
    """What is measured, by name."""
    turns = {f"engine, N = {calls}": bank_of(calls, audio) for calls in SIZES}
    turns |= {f"{name} alone": detector_alone(detector, audio) for name, detector in peers().items()}
    return turns | {"one rfft pass": transform_alone(audio)}


def table(figures: Mapping[str, float], spread: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """The figures for people."""
    alone = figures[f"engine, N = {SIZES[0]}"]
    yield f"{'two-channel calls a core':28}{'median':>10}{'least':>10}{'most':>10}{'times N = 1':>14}{'target':>9}"
    for name, calls in figures.items():
        low, high = spread[name]
        target = f"{TARGET['calls']:9.0f}" if name in ("engine, N = 100", "engine, N = 1000") else ""
        yield f"{name:28}{calls:10.0f}{low:10.0f}{high:10.0f}{calls / alone:14.1f}{target}"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hearing_speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three short rounds instead of nine")
    options = parser.parse_args()
    recording = open_recording(SAMPLE)
    audio = b"".join(recording.blocks())
    audio = audio[: len(audio) // _TICK_BYTES * _TICK_BYTES]
    rounds, least_s = (3, 0.3) if options.quick else (9, 1.0)
    found = measure(all_turns(audio), rounds, least_s)
    figures = {name: statistics.median(calls) for name, calls in found.items()}
    spread = {name: (min(calls), max(calls)) for name, calls in found.items()}
    sys.stdout.write("\n".join(table(figures, spread)) + "\n\n")
    rounded = {name: round(calls, 1) for name, calls in figures.items()}
    record = {"benchmark": "hearing_speed", "quick": options.quick, "callsACore": rounded, "target": TARGET}
    sys.stdout.write(json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
