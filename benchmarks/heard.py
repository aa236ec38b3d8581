"""Labelled calls as the real program hears them: `python -m analysis FILE --json --frames`, in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.calls import LabelledCall
from benchmarks.conditions import RATE_HZ, Studio
from benchmarks.peers import Detector, cleaned, peers
from benchmarks.scoring import Span

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Heard:
    """A call, what the program said of it, and what its peers called speech (channels, frames)."""

    call: LabelledCall
    records: list[dict[str, Any]]
    speech: NDArray[np.bool_]
    peers: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def spans(self, record: str) -> list[Span]:
        """Its records of one kind as spans."""
        return [_span(one) for one in self.records if one["record"] == record]

    def anomalies(self, type: str | None = None) -> list[dict[str, Any]]:
        """Its anomalies, or those of one type."""
        return [one for one in self.records if one["record"] == "anomaly" and type in (None, one["type"])]


Calls = Mapping[str, Sequence[Heard]]
"""What was heard, by condition."""


def _span(record: Mapping[str, Any]) -> Span:
    kind = record["metadata"].get("kind")
    type = f"{record['type']}/{kind}" if kind else record["type"]
    return Span(type, record["channel"], record["timestamp"], record["timestamp"] + record["duration"])


def hear(call: LabelledCall, folder: Path, detectors: Mapping[str, Detector]) -> Heard:
    """Write the call, run the program on it, and ask the peers."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path, frames = Path(place) / "call.wav", Path(place) / "frames.npz"
        write_wav(path, call)
        command = [sys.executable, "-m", "analysis", str(path), "--json", "--frames", str(frames)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        with np.load(frames) as kept:
            speech = kept["speech"]
    others = {
        name: np.stack([cleaned(detector(channel, call.rate_hz)) for channel in call.samples.T])
        for name, detector in detectors.items()
    }
    call = replace(call, samples=call.samples[:0].copy())  # hours of them would fill the memory
    return Heard(call, [json.loads(line) for line in done.stdout.splitlines()], speech, others)


def write_wav(path: Path, call: LabelledCall) -> None:
    """The call as 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(call.channels))
        file.setsampwidth(2)
        file.setframerate(call.rate_hz)
        file.writeframes(call.samples.astype("<i2").tobytes())


class Bench:
    """Makes and hears calls, each from a seed of its own, so that a figure can be had again alone."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._folder, self._jobs = folder, jobs
        self._studios: dict[int, Studio] = {}
        self._detectors = peers()
        self.calls: dict[str, list[Heard]] = {}  # by condition

    def run(
        self,
        condition: str,
        make: Callable[[Studio, np.random.Generator], LabelledCall],
        count: int,
        rate_hz: int = RATE_HZ,
        *,
        with_peers: bool = False,
    ) -> list[Heard]:
        """Hear some calls of a condition, keep them under its name, and say how long that took."""
        began, spent = time.monotonic(), _cpu_s()
        detectors = self._detectors if with_peers else {}
        studio = self._studio(rate_hz)

        def one(number: int) -> Heard:
            random = np.random.default_rng([number, *condition.encode()])
            return hear(make(studio, random), self._folder, detectors)

        with ThreadPoolExecutor(self._jobs) as pool:
            heard = list(pool.map(one, range(count)))
        self.calls.setdefault(condition, []).extend(heard)
        passed_s, spent_s = time.monotonic() - began, _cpu_s() - spent
        sys.stderr.write(f"{condition:26}{count:4} calls{passed_s:8.0f} s{spent_s:8.0f} s of CPU\n")
        return heard

    def _studio(self, rate_hz: int) -> Studio:
        if rate_hz not in self._studios:
            self._studios[rate_hz] = Studio(rate_hz)
        return self._studios[rate_hz]


def _cpu_s() -> float:
    """What this process and those it has waited for have spent, s."""
    return sum(os.times()[:4])
