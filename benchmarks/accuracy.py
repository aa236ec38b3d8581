"""How rightly the engine hears: labelled calls of voices and noises unseen in training, through the real program.

`python -m benchmarks.accuracy [--quick]` prints tables and, last, one line of JSON. Each call is written as a WAV file
and heard by `python -m analysis FILE --json --frames`; webrtcvad and silero-vad, where installed, hear the same calls.
How long each condition took is told on stderr.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import conditions, figures, references
from benchmarks.conditions import ERL_DB, SNR_DB, Studio
from benchmarks.figures import MOST_CALLED_SPEECH, Row, rows_record
from benchmarks.heard import Bench, Calls
from benchmarks.impairments import Fill
from benchmarks.scoring import Bin
from training.material import music, voices

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


def hear_all(bench: Bench, *, quick: bool) -> None:
    """Every condition. In a hurry fewer calls, most where few would tell nothing."""
    some, few = (5, 3) if quick else (20, 8)
    bench.run("clean", Studio.talk, some, with_peers=True)
    bench.run("clean, 16 kHz", Studio.talk, few - 1, rate_hz=16_000, with_peers=True)
    for snr_db in SNR_DB:
        bench.run(f"{snr_db} dB", partial(conditions.noisy, snr_db=snr_db), some - 1, with_peers=True)
    for erl_db in ERL_DB:
        bench.run(f"ERL {erl_db} dB", partial(conditions.echoing, erl_db=erl_db), few - 1)
    for fill in Fill:
        bench.run(f"lost, {fill}", partial(conditions.losing, fill=fill), few - 1)
    bench.run("polite", conditions.polite, 10 if quick else 30)
    bench.run("one side", conditions.one_sided, few)
    bench.run("clipped", conditions.clipped, few)
    bench.run("14 to 26 dB", conditions.nearly_noisy, some)
    bench.run("steps", conditions.stepped, some)
    bench.run("slow", conditions.slow, few)
    bench.run("misread", conditions.misread, few)
    bench.run("hold music", conditions.on_hold, few, with_peers=True)
    bench.run("tones", conditions.with_tones, few, with_peers=True)
    bench.run("mono", conditions.in_mono, 4 if quick else 12)


@dataclass(frozen=True)
class Results:
    """All figures."""

    speech: Mapping[str, Mapping[str, float]]
    events: Mapping[str, Mapping[str, Mapping[str, Any]]]
    event_rows: Sequence[Row]
    sounds: Mapping[str, Mapping[str, float]]
    anomalies: Mapping[str, Mapping[str, float | None]]
    anomaly_rows: Sequence[Row]
    confidences: Mapping[str, Sequence[Bin]]
    reference_rows: Sequence[Row]

    @classmethod
    def of(cls, calls: Calls) -> "Results":
        """What is counted over these calls, and what needs none."""
        return cls(
            speech=figures.speech(calls),
            events=figures.events(calls),
            event_rows=figures.event_rows(calls),
            sounds=figures.sounds(calls),
            anomalies=figures.anomalies(calls),
            anomaly_rows=figures.anomaly_rows(calls),
            confidences=figures.confidences(calls),
            reference_rows=[*references.level_rows(), *references.rating_rows(), *references.mood_rows()],
        )

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "vad": self.speech,
            "events": self.events,
            "eventRows": rows_record(self.event_rows),
            "sounds": self.sounds,
            "anomalies": self.anomalies,
            "anomalyRows": rows_record(self.anomaly_rows),
            "confidences": {type: [one._asdict() for one in bins] for type, bins in self.confidences.items()},
            "references": rows_record(self.reference_rows),
        }

    def tables(self) -> Iterator[str]:
        """For people. What misses its target is marked."""
        yield from self._speech_table()
        yield from self._event_table()
        yield from row_table(self.event_rows)
        yield "\nCalled speech, share of the time"
        for name, shares in self.sounds.items():
            target = _bound("≤", MOST_CALLED_SPEECH[name], shares["engine"] > MOST_CALLED_SPEECH[name])
            yield f"{name:16}" + "".join(f"{who} {share:.3f}   " for who, share in shares.items()) + target
        yield "\nAnomalies"
        yield f"{'':26}{'labels':>8}{'recall':>8}{'false/h':>9}"
        for type, row in self.anomalies.items():
            yield f"{type:26}{row['labels']:8}{_number(row['recall'], 8)}{row['falsePerHour']:9.2f}"
        yield from row_table(self.anomaly_rows)
        yield from self._confidence_table()
        yield "\nAgainst what is published, and phrases"
        yield from row_table(self.reference_rows)

    def _speech_table(self) -> Iterator[str]:
        yield "Speech, F1 of 20 ms frames"
        names = list(self.speech["clean"])
        yield f"{'':16}" + "".join(f"{name:>12}" for name in names) + "  target"
        for condition, row in self.speech.items():
            least = figures.LEAST_F1["speech"].get(condition)
            yield f"{condition:16}" + "".join(f"{row[name]:12.3f}" for name in names) + _least(row["engine"], least)

    def _event_table(self) -> Iterator[str]:
        yield "\nEvents"
        yield f"{'':18}{'condition':12}{'labels':>8}{'F1':>8}{'recall':>8}{'false/min':>11}{'onset ms':>10}  target"
        for type, rows in self.events.items():
            for condition, row in rows.items():
                yield (
                    f"{type:18}{condition:12}{row['labels']:8}{row['f1']:8.3f}{row['recall']:8.3f}"
                    f"{row['falsePerMinute']:11.2f}{_number(row['onsetErrorMs'], 10, 0)}"
                    f"{_least(row['f1'], row['target'])}"
                )

    def _confidence_table(self) -> Iterator[str]:
        yield "\nConfidences: findings of like confidence, the mean of it, and the share that is right"
        for type, bins in self.confidences.items():
            told = "   ".join(
                f"{one.count}: {one.confidence:.2f} {one.right:.2f}{'' if one.calibrated else ' missed'}"
                for one in bins
            )
            yield f"{type:26}{told}"


def row_table(rows: Sequence[Row]) -> Iterator[str]:
    """Rows with their targets."""
    for row in rows:
        bound = _bound("≥", row.least, row.missed) if row.least is not None else _bound("≤", row.most, row.missed)
        of = f"of {row.of}" if row.of is not None else ""
        yield f"{row.name:60}{_number(row.figure, 9)}{of:>9}{bound}"


def _least(figure: float, least: float | None) -> str:
    return _bound("≥", least, least is not None and figure < least)


def _bound(sign: str, target: float | None, missed: bool) -> str:
    return "" if target is None else f"  {sign} {target:g}{'  missed' if missed else ''}"


def _number(figure: float | None, width: int, digits: int = 3) -> str:
    return f"{'-':>{width}}" if figure is None else f"{figure:{width}.{digits}f}"


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
    parser.add_argument("--quick", action="store_true", help="a quarter of the calls")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="calls heard at the same time")
    options = parser.parse_args()
    if absent := missing():
        sys.stderr.write(f"The voices and noises are in Debian packages: apt-get install {' '.join(absent)}\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.jobs)
        hear_all(bench, quick=options.quick)
    results = Results.of(bench.calls)
    sys.stdout.write("\n".join(results.tables()) + "\n\n")
    sys.stdout.write(json.dumps({"benchmark": "accuracy", "quick": options.quick, **results.record()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
