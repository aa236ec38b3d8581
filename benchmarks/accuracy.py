"""How rightly the engine hears: labelled calls of voices and noises unseen in training, through the real program.

`python -m benchmarks.accuracy [--quick]` prints tables and, last, one line of JSON. Each call is written as a WAV file
and heard by `python -m analysis FILE --json --frames`; webrtcvad and silero-vad, where installed, hear the same calls.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import conditions
from benchmarks.calls import CHANNELS, LabelledCall
from benchmarks.conditions import AGENT, OTHER_SOUND_FROM_S, OTHER_SOUND_S, RATE_HZ, Studio
from benchmarks.impairments import Fill
from benchmarks.peers import Detector, cleaned, peers
from benchmarks.scoring import Score, Span, add, frame_score, score
from training.material import music, voices

ROOT = Path(__file__).parents[1]
HOUR_S = 3600
NEEDED = {  # Debian packages, and a program of those that are no voices
    "asterisk-prompt-it-menardi-wav": None,
    "asterisk-prompt-fr-armelle": None,
    "asterisk-prompt-es-co": None,
    "fillets-ng-data-nl": None,
    "codec2-examples": None,
    "espeak-ng": "espeak-ng",
    "flite": "flite",
    "festival": "text2wave",
    "sox": "sox",
}
SNR_DB = (20, 10, 5, 0)
ERL_DB = (10, 14, 18, 22, 26, 30)
EVENTS = ("overlap", "interrupt", "long_pause", "silence/quiet", "silence/one_way", "silence/digital", "silence/hold")
EVENTS += ("volume_spike", "speaker_change")
TARGETS = {
    "vad": {"20 dB": 0.95, "10 dB": 0.90, "5 dB": 0.85},
    "overlap": {"clean": 0.93, "10 dB": 0.88, "echo": 0.90},
    "interrupt": {"clean": 0.93, "10 dB": 0.88, "echo": 0.90},
    "long_pause": {"clean": 0.95},
    "volume_spike": {"clean": 0.95},
}


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

    def anomalies(self, type: str) -> list[dict[str, Any]]:
        """Its anomalies of one type."""
        return [one for one in self.records if one["record"] == "anomaly" and one["type"] == type]


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

    def __init__(self, folder: Path, jobs: int, scale: float) -> None:
        self._folder, self._jobs, self._scale = folder, jobs, scale
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
        """Hear some calls of a condition, and keep them under its name."""
        if rate_hz not in self._studios:
            self._studios[rate_hz] = Studio(rate_hz)
        detectors = self._detectors if with_peers else {}

        def one(number: int) -> Heard:
            random = np.random.default_rng([number, *condition.encode()])
            return hear(make(self._studios[rate_hz], random), self._folder, detectors)

        sys.stderr.write(f"{condition} ...\n")
        with ThreadPoolExecutor(self._jobs) as pool:
            heard = list(pool.map(one, range(max(1, round(count * self._scale)))))
        self.calls.setdefault(condition, []).extend(heard)
        return heard


def hear_all(bench: Bench) -> None:
    """Every condition."""
    bench.run("clean", Studio.talk, 20, with_peers=True)
    bench.run("clean, 16 kHz", Studio.talk, 8, rate_hz=16_000, with_peers=True)
    for snr_db in SNR_DB:
        bench.run(f"{snr_db} dB", partial(conditions.noisy, snr_db=snr_db), 20, with_peers=True)
    for erl_db in ERL_DB:
        bench.run(f"ERL {erl_db} dB", partial(conditions.echoing, erl_db=erl_db), 8)
    for fill in Fill:
        bench.run(f"lost, {fill}", partial(conditions.losing, fill=fill), 6)
    bench.run("polite", conditions.polite, 30)
    bench.run("one side", conditions.one_sided, 8)
    bench.run("clipped", conditions.clipped, 8)
    bench.run("hold music", conditions.on_hold, 8, with_peers=True)
    bench.run("tones", conditions.with_tones, 8, with_peers=True)
    bench.run("mono", conditions.in_mono, 12)


def vad_figures(calls: Calls) -> dict[str, dict[str, float]]:
    """Frame F1 of engine and peers where the peers have listened to speech."""
    names = ["clean", "clean, 16 kHz", *(f"{snr_db} dB" for snr_db in SNR_DB)]
    figures: dict[str, dict[str, float]] = {}
    for name in names:
        heard = calls[name]
        figures[name] = {"engine": _frame_f1((one.speech, one.call) for one in heard)}
        for peer in heard[0].peers:
            figures[name][peer] = _frame_f1((one.peers[peer], one.call) for one in heard)
    return figures


def _frame_f1(pairs: Iterable[tuple[NDArray[np.bool_], LabelledCall]]) -> float:
    total = Score()
    for found, call in pairs:
        truth = call.speech
        frames = min(found.shape[1], truth.shape[1])
        total += frame_score(found[:, :frames], truth[:, :frames])
    return round(total.f1, 3)


def event_figures(calls: Calls) -> dict[str, dict[str, dict[str, float | None]]]:
    """Scores of each event in each condition that has it."""
    groups = {
        "clean": calls["clean"],
        "10 dB": calls["10 dB"],
        "echo": [one for erl_db in ERL_DB for one in calls[f"ERL {erl_db} dB"]],
        "one side": calls["one side"],
        "hold music": calls["hold music"],
        "mono": calls["mono"],
    }
    figures: dict[str, dict[str, dict[str, float | None]]] = {}
    for name, heard in groups.items():
        scores = add(score(one.spans("event"), one.call.labels) for one in heard)
        minutes = sum(one.call.seconds for one in heard) / 60
        for type in EVENTS:
            result = scores.get(type, Score())
            if result.hits + result.misses:
                figures.setdefault(type, {})[name] = {
                    "f1": round(result.f1, 3),
                    "recall": round(result.recall, 3),
                    "falsePerMinute": round(result.false / minutes, 2),
                    "onsetErrorMs": result.onset_error_ms if result.hits else None,
                    "labels": result.hits + result.misses,
                }
    return figures


def sound_figures(calls: Calls) -> dict[str, dict[str, float]]:
    """Share of hold music, after its first 8 s, and of tones that is called speech."""
    figures: dict[str, dict[str, float]] = {}
    for name, skipped_s in (("hold music", 8), ("tones", 0)):
        part = slice((OTHER_SOUND_FROM_S + skipped_s) * 50, (OTHER_SOUND_FROM_S + OTHER_SOUND_S) * 50)
        heard = calls[name]
        figures[name] = {"engine": round(float(np.mean([one.speech[AGENT, part] for one in heard])), 3)}
        for peer in heard[0].peers:
            figures[name][peer] = round(float(np.mean([one.peers[peer][AGENT, part] for one in heard])), 3)
    return figures


def fault_figures(calls: Calls) -> dict[str, float]:
    """Of the lasting faults: those kinds that the engine names in any call."""
    known = {record["type"] for heard in calls.values() for one in heard for record in one.records if "type" in record}
    figures: dict[str, float] = {}
    polite = calls["polite"]
    hours = sum(one.call.seconds for one in polite) / HOUR_S
    figures["false anomalies, clean hour"] = round(sum(len(one.spans("anomaly")) for one in polite) / hours, 2)
    if "echo" in known:
        figures |= _echo_figures(calls)
    if "distortion" in known:
        found = [_on_each_channel(one, "distortion") for one in calls["clipped"]]
        figures["clipping of 6 dB or more found"] = round(float(np.mean(found)), 3)
    if "dropouts" in known:
        for fill in (Fill.ZERO, Fill.REPEAT):
            figures[f"lost packets found, {fill}"] = _dropout_recall(calls[f"lost, {fill}"])
    return figures


def _echo_figures(calls: Calls) -> dict[str, float]:
    figures, delays_off_ms = {}, []
    for erl_db in ERL_DB:
        found = []
        for one in calls[f"ERL {erl_db} dB"]:
            echo = one.call.damage.echo
            assert echo is not None
            heard = [a for a in one.anomalies("echo") if a["channel"] == CHANNELS[echo.channel]]
            far_s = _talk_ends(one.call.speech[1 - echo.channel], seconds=20)
            found.append(any(anomaly["detectedAt"] <= far_s * 1000 for anomaly in heard))
            delays_off_ms += [abs(anomaly["metadata"]["delayMs"] - echo.delay_ms) for anomaly in heard]
        figures[f"echo found within 20 s of far speech, ERL {erl_db} dB"] = round(float(np.mean(found)), 3)
    figures["echo delays within 20 ms"] = (
        round(float(np.mean(np.array(delays_off_ms) <= 20)), 3) if delays_off_ms else 0.0
    )
    return figures


def _talk_ends(speech: NDArray[np.bool_], seconds: float) -> float:
    """When somebody has talked for so long, s."""
    talked = np.flatnonzero(np.cumsum(speech) >= seconds * 50)
    return float(talked[0] + 1) / 50 if len(talked) else len(speech) / 50


def _on_each_channel(heard: Heard, type: str) -> float:
    channels = {anomaly["channel"] for anomaly in heard.anomalies(type)}
    return len(channels & set(heard.call.channels)) / len(heard.call.channels)


def _dropout_recall(heard: Sequence[Heard]) -> float:
    """Share of the losses beside speech that are among the intervals of the dropouts found."""
    hits = losses = 0
    for one in heard:
        for channel, name in enumerate(one.call.channels):
            found = [
                tuple(i) for a in one.anomalies("dropouts") if a["channel"] == name for i in a["metadata"]["intervals"]
            ]
            for start, end in one.call.lost[channel]:
                if one.call.speech[channel, start // 20 : end // 20].all():
                    losses += 1
                    hits += any(low < end and start < high for low, high in found)
    return round(hits / losses, 3) if losses else 1.0


def tables(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    yield "Speech, F1 of 20 ms frames"
    names = list(figures["vad"]["clean"])
    yield f"{'':16}" + "".join(f"{name:>12}" for name in names) + f"{'target':>10}"
    for condition, row in figures["vad"].items():
        target = TARGETS["vad"].get(condition, "")
        yield f"{condition:16}" + "".join(f"{row[name]:12.3f}" for name in names) + f"{target:>10}"
    yield "\nEvents"
    yield f"{'':18}{'condition':12}{'labels':>8}{'F1':>8}{'recall':>8}{'false/min':>11}{'onset ms':>10}{'target':>8}"
    for type, rows in figures["events"].items():
        for condition, row in rows.items():
            target = TARGETS.get(type, {}).get(condition, "")
            yield (
                f"{type:18}{condition:12}{row['labels']:8}{row['f1']:8.3f}{row['recall']:8.3f}"
                f"{row['falsePerMinute']:11.2f}{_whole(row['onsetErrorMs']):>10}{target:>8}"
            )
    yield "\nCalled speech, share of the time"
    for condition, row in figures["sounds"].items():
        yield f"{condition:16}" + "".join(f"{name} {share:.3f}   " for name, share in row.items())
    yield "\nLasting faults"
    for name, figure in figures["faults"].items():
        yield f"{name:52}{figure:8.3f}"


def _whole(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.0f}"


def missing() -> list[str]:
    """Debian packages that the calls are made from and that are not there."""
    there = {voice.package for voice in voices("test")}
    absent = [
        package for package, program in NEEDED.items() if not (shutil.which(program) if program else package in there)
    ]
    return absent + ([] if music("test") else ["asterisk-moh-opsound-wav"])


def main() -> int:
    """Run the benchmark; 1 if what it needs is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the calls")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="calls heard at the same time")
    options = parser.parse_args()
    if absent := missing():
        sys.stderr.write(f"The voices and noises are in Debian packages: apt-get install {' '.join(absent)}\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.jobs, 0.2 if options.quick else 1.0)
        hear_all(bench)
    figures = {
        "vad": vad_figures(bench.calls),
        "events": event_figures(bench.calls),
        "sounds": sound_figures(bench.calls),
        "faults": fault_figures(bench.calls),
    }
    sys.stdout.write("\n".join(tables(figures)) + "\n\n")
    sys.stdout.write(json.dumps({"benchmark": "accuracy", "quick": options.quick, **figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
