"""How near the rated quality of a call comes to PESQ, which hears the original as well.

`python -m benchmarks.quality [--quick]` sends voices unseen in training over lines of known codecs and losses, scores
each beside its original with PESQ (ITU-T P.862, as the opinion score of P.862.1), and prints how the E-model's score of
what the network tells of the same line goes with that. Then it does the same with lines that may have any fault
(training/spoilt.py), for what the network tells, how the engine finds them to sound, and both: tables and, last, one
line of JSON. Needs the package `pesq`, the Debian packages of `benchmarks.accuracy`, and `sox` with `libsox-fmt-all`,
`opus-tools`, `speex` and `codec2`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from analysis import CallBank
from analysis.emodel import burst_ratio, mos
from analysis.quality import NetworkSample, network_rating
from benchmarks.accuracy import missing
from benchmarks.definitions import Spurt
from benchmarks.impairments import PACKET_MS, Fill, Loss, Sound, gain, level_dbov, room_tone
from training.lines import Exchange
from training.noises import RATE_HZ
from training.spoilt import TOOLS, Abroad, Spoilt, spoilt

LINE_S = 8
LEAST_SPEECH_S = 3.0
HOP_MS = 10  # in which speech is marked
SPEECH_DBOV = -24.0
TELEPHONE_HZ = (300, 3400)
LOST_PERCENT, BURSTS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0), (1.0, 2.0)
CODECS = {"PCMU": "ul", "PCMA": "al", "GSM": "gsm"}
"""By the name in SDP, as sox calls them."""

TARGET_PEARSON = {"network": 0.92, "signal": 0.85, "both": 0.92}
POOR_MOS = 3.0
CLEAN_CODECS = ("", "PCMU", "PCMA")
CHANCES, QUICK_CHANCES = 6, 1
"""How often every codec, fill, loss and burst is tried."""

FAULTY, QUICK_FAULTY, FIRST_FAULTY = 600, 60, 970_000
"""Lines with any fault, every fifth one in a language unheard in training, and their first seed."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line was, and its score, 1..4.55, by PESQ and 1..4.5 by what its network tells."""

    codec: str
    fill: str
    pesq: float
    told: float


@dataclass(frozen=True, slots=True)
class Faulty:
    """A line with any fault or none: its score by PESQ, and the engine's by each basis (none where it gives none)."""

    clean: bool
    pesq: float
    told: Mapping[str, float]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sixth of the lines")
    options = parser.parse_args()
    if not find_spec("pesq"):
        sys.stderr.write("The package pesq is not installed: pip install pesq (it needs a C compiler)\n")
        return 1
    if absent := missing():
        sys.stderr.write(f"The voices are in Debian packages: apt-get install {' '.join(absent)}\n")
        return 1
    if tools := [tool for tool in TOOLS if not which(tool)]:
        sys.stderr.write(f"Not installed: {', '.join(tools)} (apt-get install opus-tools speex codec2)\n")
        return 1
    lines = lines_of(QUICK_CHANCES if options.quick else CHANCES)
    figures = {name: compare(chosen) for name, chosen in groups(lines).items()}
    target = TARGET_PEARSON["network"]
    _write(f"What networks tell, beside PESQ; the target is a correlation of {target}", figures)
    faulty = faulty_lines(QUICK_FAULTY if options.quick else FAULTY)
    by_basis = {basis: compare_faulty(faulty, basis) for basis in TARGET_PEARSON}
    _write(f"Lines with any fault, beside PESQ; the targets are correlations of {TARGET_PEARSON}", by_basis)
    result = {"benchmark": "quality", "quick": options.quick, **figures, "anyFault": by_basis, "target": TARGET_PEARSON}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _write(title: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    sys.stdout.write(title + "\n")
    for name, row in figures.items():
        sys.stdout.write(f"{name:>20}: " + ", ".join(f"{what} {value}" for what, value in row.items()) + "\n")


def lines_of(chances: int) -> list[Line]:
    """Every codec, fill, loss and burst so many times, each line with another voice."""
    random = np.random.default_rng(862)
    exchange = Exchange("test")
    return [
        carried(telephoned(exchange, random), codec, Loss(percent / 100, burst, fill), random)
        for _ in range(chances)
        for codec in CODECS
        for fill in (Fill.ZERO, Fill.REPEAT)
        for percent in LOST_PERCENT
        for burst in BURSTS
    ]


def telephoned(exchange: Exchange, random: np.random.Generator) -> Sound:
    """Speech as a telephone sends it, as P.862 asks for: else PESQ takes the codec's own noise for a fault where a
    voice has nothing."""
    samples = LINE_S * RATE_HZ
    while True:
        speech, active = exchange.talk(samples, random)
        if np.count_nonzero(active) * HOP_MS >= 1000 * LEAST_SPEECH_S:
            break
    sent = sosfilt(butter(3, TELEPHONE_HZ, "bandpass", fs=RATE_HZ, output="sos"), speech)
    loudness_dbov = level_dbov(sent[np.repeat(active, RATE_HZ * HOP_MS // 1000)])
    return sent * gain(SPEECH_DBOV - loudness_dbov) + room_tone(samples, RATE_HZ, random)


def carried(original: Sound, codec: str, loss: Loss, random: np.random.Generator) -> Line:
    """The line of this codec and loss, and both scores."""
    from pesq import pesq  # an optional peer

    heard = coded(original, CODECS[codec])
    lost = loss.apply(heard, RATE_HZ, random) if loss.share else []
    score = pesq(RATE_HZ, _int16(original), _int16(heard), "nb")
    told = network_rating(sample_of(lost, codec, loss.fill))
    assert told is not None, "a loss is told"
    return Line(codec, loss.fill, float(score), mos(told))


def coded(sound: Sound, kind: str) -> Sound:
    """Through a codec of sox and back."""
    raw = ["-t", "raw", "-r", str(RATE_HZ), "-e", "signed", "-b", "16", "-c", "1"]
    line = ["-t", kind, "-r", str(RATE_HZ), "-c", "1"]
    sent = subprocess.run(
        ["sox", "-D", *raw, "-", *line, "-"], input=_int16(sound).tobytes(), check=True, capture_output=True
    )
    back = subprocess.run(["sox", "-D", *line, "-", *raw, "-"], input=sent.stdout, check=True, capture_output=True)
    return np.resize(np.frombuffer(back.stdout, dtype="<i2") / 32768.0, len(sound))


def sample_of(lost: list[Spurt], codec: str, fill: Fill) -> NetworkSample:
    """What a network tells of these losses; a receiver that fills them with zeros conceals nothing."""
    packets = sum(end - start for start, end in lost) // PACKET_MS
    share = packets * PACKET_MS / (1000 * LINE_S)
    named = "g711-noplc" if fill is Fill.ZERO and codec != "GSM" else codec
    return NetworkSample(loss_pct=100 * share, burst_r=burst_ratio(packets, len(lost), share), codec=named)


def faulty_lines(count: int) -> list[Faulty]:
    """Lines of voices and noises unheard in training, each with its scores."""
    home, abroad = Exchange("test"), Abroad("test")
    seeds = range(FIRST_FAULTY, FIRST_FAULTY + count)
    return [rated(spoilt(home if seed % 5 else abroad, seed)) for seed in seeds]


def rated(line: Spoilt) -> Faulty:
    """A line as the engine rates it by each basis."""
    told = network_rating(line.network)
    assert told is not None, "a loss is told"
    return Faulty(line.done in [(codec,) for codec in CLEAN_CODECS], line.score, {"network": mos(told), **heard(line)})


def heard(line: Spoilt) -> dict[str, float]:
    """The engine's score of a call at its end, by its sound and by both; nothing if it gives none."""
    bank = CallBank()
    for basis in ("signal", "both"):
        bank.open(basis, RATE_HZ, ("caller",))
        bank.push(basis, line.samples)
    bank.tell("both", line.network)
    bank.tick()
    results = dict(bank.results)  # the last of each
    scores = {basis: result.quality.mos_score for basis, result in results.items() if result.quality}
    return scores if "signal" in scores else {}


def groups(lines: list[Line]) -> dict[str, list[Line]]:
    """All lines, those of each codec, and those of each fill."""
    return {
        "all": lines,
        **{codec: [line for line in lines if line.codec == codec] for codec in CODECS},
        **{str(fill): [line for line in lines if line.fill == fill] for fill in (Fill.ZERO, Fill.REPEAT)},
    }


def compare(lines: Sequence[Line]) -> dict[str, float]:
    """Correlation with PESQ, root mean square error, and how much too high the scores are in the mean."""
    return _compared(np.array([line.told for line in lines]), np.array([line.pesq for line in lines]))


def compare_faulty(lines: Sequence[Faulty], basis: str) -> dict[str, float]:
    """As `compare`, by one basis, where there is a score by the sound; and how many clean lines are called poor."""
    heard = [line for line in lines if "signal" in line.told]
    clean = [line.told[basis] for line in heard if line.clean]
    compared = _compared(np.array([line.told[basis] for line in heard]), np.array([line.pesq for line in heard]))
    return {**compared, "clean": len(clean), "cleanBelow3": sum(score < POOR_MOS for score in clean)}


def _compared(told: Sound, pesq: Sound) -> dict[str, float]:
    return {
        "lines": len(told),
        "pearson": round(float(np.corrcoef(told, pesq)[0, 1]), 3),
        "rmse": round(float(np.sqrt(np.mean(np.square(told - pesq)))), 2),
        "bias": round(float(np.mean(told - pesq)), 2),
    }


def _int16(sound: Sound) -> NDArray[np.int16]:
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)


if __name__ == "__main__":
    sys.exit(main())
