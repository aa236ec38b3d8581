"""Trains what rates a channel by its sound: `python -m training.quality [--lines N] [--epochs N]`.

Makes speech of the training voices that is spoilt in known ways and scored by PESQ beside its original
(training/spoilt.py; kept in `var/spoilt/`), hears it with the engine's own code, trains the network of `analysis.sound`
(training/networks.py) to say that score, and writes its weights. Prints how near it comes to PESQ for voices and noises
that it has not heard. Needs the package `pesq`, the material of `training.material`, and the codecs of
`training.spoilt`: `opus-tools`, `speex`, `codec2`, and `sox` with `libsox-fmt-all`.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis import CallBank
from analysis.emodel import BEST_MOS, WORST_MOS
from analysis.rows import CHANNELS
from analysis.sound import NETWORK, STANDARD, STANDARD_STEPS, Totals, score, standard
from training.lines import Exchange
from training.material import CACHE, Part
from training.networks import Course, save, train
from training.spoilt import Abroad, Spoilt, spoilt

ANALYSIS = Path(__file__).parents[1] / "analysis"
KEPT = CACHE.parent / "spoilt"

_TOGETHER = 25
_HOME: dict[Part, int] = {"train": 100_000, "test": 900_000}  # the first seed of lines with the voices of all training
_AWAY: dict[Part, int] = {"train": 300_000, "test": 950_000}  # and of those in other languages, every other one clean
_AWAY_SHARE = 8 / 15  # of them, to each of the former
_CLEAN = ("", "PCMU", "PCMA")  # what was done to lines that are as good as a telephone's can be

_HIDDEN, _DECAY = (32, 16), 0.3
_DRAWN = 3  # times as many examples as there are, clean ones three times as often, each measured a little wrong:
_CLEAN_WEIGHT, _ERROR = 3.0, 0.3  # spreads; so it learns less of the single voice


@dataclass(frozen=True, slots=True)
class Examples:
    """Measures of `analysis.sound` (n, measures), PESQ's scores (n,), and which of them are clean (n,)."""

    measures: NDArray[np.float64]
    scores: NDArray[np.float64]
    clean: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: list["Examples"]) -> "Examples":
        """All of them."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.quality", description=sys.modules[__name__].__doc__)
    parser.add_argument("--lines", type=int, default=6000, help="lines of 10 s to learn from (default: 6000)")
    parser.add_argument("--epochs", type=int, default=30, help="how often each is seen (default: 30)")
    options = parser.parse_args()
    away = int(options.lines * _AWAY_SHARE)
    learn(Examples.joined([home("train", options.lines), abroad("train", away)]), options.epochs)
    report("unheard voices", home("test", options.lines // 8))
    report("unheard languages", abroad("test", away // 8))


def learn(known: Examples, epochs: int) -> None:
    """Train the network and write it."""
    spread = np.maximum(known.measures.std(axis=0), 1e-3)
    np.savez_compressed(ANALYSIS / STANDARD, mean=known.measures.mean(axis=0), spread=spread)
    random = np.random.default_rng(0)
    shares = np.where(known.clean, _CLEAN_WEIGHT, 1.0)
    drawn = random.choice(len(shares), _DRAWN * len(shares), p=shares / shares.sum())
    inputs = standard(known.measures[drawn] + _ERROR * spread * random.standard_normal((len(drawn), len(spread))))
    labels = (np.clip(known.scores[drawn], WORST_MOS, BEST_MOS) - WORST_MOS) / (BEST_MOS - WORST_MOS)
    course = Course((len(spread), *_HIDDEN, 1), 1 / STANDARD_STEPS, epochs, batch=64, decay=_DECAY)
    save(train(inputs.astype(np.int16), labels.astype(np.float32), course, random), ANALYSIS / NETWORK)


def report(name: str, unheard: Examples) -> None:
    """Print how near the network comes to PESQ, and what it says of clean lines."""
    said = score(unheard.measures)
    pearson = np.corrcoef(said, unheard.scores)[0, 1]
    error = np.sqrt(np.mean(np.square(said - unheard.scores)))
    clean = said[unheard.clean]
    sys.stdout.write(
        f"{name}: {len(said)} lines, Pearson {pearson:.3f}, root mean square error {error:.2f}; of {len(clean)} clean "
        f"ones the median {np.median(clean):.2f}, {np.count_nonzero(clean < 3)} below 3, the lowest {clean.min():.2f}\n"
    )


def home(part: Part, count: int) -> Examples:
    """So many lines of the voices that all training is from, any of them spoilt."""
    return _examples(part, count, Exchange, _HOME[part])


def abroad(part: Part, count: int) -> Examples:
    """So many lines of voices of other languages, half of them clean."""
    return _examples(part, count, Abroad, _AWAY[part])


def measured(lines: NDArray[np.int16]) -> Totals:
    """What the engine measures of lines (n, samples) in their last two windows."""
    windows: list[Totals] = []

    def listen(totals: Totals) -> NDArray[np.float64]:
        windows.append(totals)
        return np.full(len(totals.peak), WORST_MOS)  # there may be no network yet

    bank = CallBank()
    bank._listener.sound.rate = listen
    for number, samples in enumerate(lines):
        bank.open(str(number), channels=("caller",))
        bank.push(str(number), samples)
    bank.tick()
    return windows[-1]


def _examples(part: Part, count: int, kind: type[Exchange], first: int) -> Examples:
    firsts = range(first, first + count, _TOGETHER)
    with ProcessPoolExecutor() as pool:
        return Examples.joined(list(pool.map(partial(_some, part=part, kind=kind), firsts)))


def _some(first: int, part: Part, kind: type[Exchange]) -> Examples:
    """Measured examples of those that are kept or made now, less those in which hardly any speech is found."""
    path = KEPT / f"{part}-{first}.npz"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        made = [_spoilt(_exchange(kind, part), seed) for seed in range(first, first + _TOGETHER)]
        _keep(made, path)
    with np.load(path) as kept:
        totals = measured(kept["samples"])
        enough, clean = totals.audible[::CHANNELS], np.isin(kept["done"], _CLEAN)
        return Examples(totals.measures()[::CHANNELS][enough], kept["scores"][enough], clean[enough])


@cache
def _exchange(kind: type[Exchange], part: Part) -> Exchange:
    return kind(part)


def _spoilt(exchange: Exchange, seed: int) -> Spoilt:
    return spoilt(exchange, seed, gently=isinstance(exchange, Abroad) and seed % 2 == 0)


def _keep(made: list[Spoilt], path: Path) -> None:
    samples, scores = np.stack([one.samples for one in made]), [one.score for one in made]
    np.savez(path, samples=samples, scores=scores, done=["|".join(one.done) for one in made])


if __name__ == "__main__":
    main()
