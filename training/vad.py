"""Trains the network of `analysis.vad`: `python -m training.vad [--lines N] [--epochs N] [--seed N]`.

Makes lines of the training voices (training/lines.py), measures them with the engine's own code, trains the network
(training/networks.py), writes `analysis/vad-weights.npz`, and prints how well frames of the test voices are told from
noise.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.features import Features, measure
from analysis.lookahead import LOOK_AHEAD_FRAMES
from analysis.network import Network
from analysis.surroundings import INPUTS, Surroundings, inputs
from training.lines import FRAME, RATE_HZ, Exchange, Line
from training.material import Part
from training.networks import Course, save, train

WEIGHTS = Path(__file__).parents[1] / "analysis" / "vad-weights.npz"

Frames = tuple[NDArray[np.int16], NDArray[np.bool_]]
"""Inputs (frames, INPUTS) and labels (frames,)."""

_UNITS = (INPUTS, 40, 16, 1)
_INPUT_SCALE = 0.025
_LINES_AT_ONCE = 8
_EVERY = 4  # frames: neighbours are alike
_PIECES = 4  # of 15 s


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.vad", description=sys.modules[__name__].__doc__)
    parser.add_argument("--lines", type=int, default=2560, help="lines of 60 s to learn from (default: 2560)")
    parser.add_argument("--epochs", type=int, default=3, help="how often each is seen (default: 3)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    inputs, labels = made("train", options.lines, options.seed)
    course = Course(_UNITS, _INPUT_SCALE, options.epochs)
    network = train(inputs, labels, course, np.random.default_rng(options.seed))
    save(network, WEIGHTS)
    report(network)


def made(part: Part, lines: int, seed: int) -> Frames:
    """Frames of so many lines of a part, a quarter of them with sudden noises."""
    seeds = range(seed * 1000, seed * 1000 + lines, _LINES_AT_ONCE)
    with ProcessPoolExecutor(initializer=_take, initargs=(part,)) as pool:
        parts = list(pool.map(_some_frames, seeds, [4 * number >= 3 * len(seeds) for number in range(len(seeds))]))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


_exchange: Exchange


def _take(part: Part) -> None:
    global _exchange  # a process's own, made once
    _exchange = Exchange(part)


def _some_frames(seed: int, sudden: bool) -> Frames:
    """Half of the lines are judged as they are, half in pieces, as the first seconds are the hardest."""
    lines = [_exchange.anything(seed + number, sudden=sudden) for number in range(_LINES_AT_ONCE)]
    whole, others = lines[: _LINES_AT_ONCE // 2], lines[_LINES_AT_ONCE // 2 :]
    parts = [judged(whole), judged([piece for line in others for piece in line.cut(_PIECES)])]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def judged(lines: list[Line]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Inputs (frames, INPUTS) and labels (frames,) of every fourth frame of lines of one length, two of them a call.

    Left out are gaps that talkspurts bridge: what a network thinks of them makes no difference.
    """
    samples = np.stack([line.samples for line in lines]).reshape(len(lines), -1, FRAME)
    before = np.zeros((*samples.shape[:2], FRAME // 2), dtype=np.int16)
    before[:, 1:] = samples[:, :-1, FRAME // 2 :]
    measured = measure(samples.reshape(-1, FRAME), before.reshape(-1, FRAME // 2), RATE_HZ)
    shape = (len(lines) // 2, 2, samples.shape[1])
    frames = Features(*(_steps_first(getattr(measured, name), shape) for name in Features.__slots__))
    ears = Surroundings()
    ears.resize(shape[0])
    heard = np.ones(frames.zero.shape, dtype=np.bool_)
    line, channel = ears.follow(frames, heard, np.full(shape[0], shape[2]))
    rows = inputs(line, channel).reshape(shape[2], len(lines), INPUTS)[LOOK_AHEAD_FRAMES::_EVERY]
    labels = np.stack([line.speech for line in lines], axis=1)[:-LOOK_AHEAD_FRAMES:_EVERY]
    told = ~np.stack([line.gap for line in lines], axis=1)[:-LOOK_AHEAD_FRAMES:_EVERY]
    return rows[told].astype(np.int16), labels[told]


def _steps_first(values: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    return np.moveaxis(values.reshape(*shape, *values.shape[1:]), 2, 0)


def report(network: Network) -> None:
    """Print the frame F1 of the test voices in the test noises, the same speech in all of them."""
    with ProcessPoolExecutor(initializer=_take, initargs=("test",)) as pool:
        sys.stdout.write(f"{'dB':>6} {'F1':>6} {'precision':>9} {'recall':>6}\n")
        for snr_db in (60.0, 20.0, 10.0, 5.0, 0.0):
            parts = list(pool.map(partial(_noisy_frames, snr_db=snr_db), range(16)))
            speech = np.concatenate([y for _, y in parts])
            said = np.concatenate([network.probability(x.astype(np.float32)) for x, _ in parts]) >= 0.5
            hits = int((said & speech).sum())
            f1 = 2 * hits / (said.sum() + speech.sum())
            sys.stdout.write(f"{snr_db:6.0f} {f1:6.3f} {hits / said.sum():9.3f} {hits / speech.sum():6.3f}\n")


def _noisy_frames(seed: int, snr_db: float) -> Frames:
    kinds = list(_exchange.noises)
    return judged([_exchange.noisy(seed, kinds[seed % len(kinds)], snr_db) for seed in (2 * seed, 2 * seed + 1)])


if __name__ == "__main__":
    main()
