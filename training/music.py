"""Trains what tells music from speech and noise: `python -m training.music` writes `analysis/music-weights.json`.

Music: three pieces of asterisk-moh-opsound-wav (CC-BY-SA-3.0), and the Debian packages singularity-music and
hyperrogue-music (free licences, in their copyright files), at several levels and with noise. Speech: the voices of
`training.material` with pauses, clean and in the noises of `training.noises`; and those noises alone. Prints how
much of the music and the voices kept apart, and of wesnoth-1.16-music, is taken for music.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from analysis.features import FRAMES_PER_S, Features, measure
from analysis.music import FEATURE_STEPS, LONG_S, SHORT_S, WEIGHTS, Music, MusicThresholds, Network, Pairs
from analysis.rows import CHANNELS
from analysis.spectrum import HOPS
from training import material
from training.material import Part
from training.noises import Noise, noises

RATE_HZ = 8000
CLIP_S = 40
INTRODUCTION_S = 20
NOISES_ALONE = 120
MUSIC_FOLDERS: dict[Part, tuple[str, ...]] = {
    "train": ("/usr/share/games/singularity/music", "/usr/share/hyperrogue/music"),
    "test": ("/usr/share/games/wesnoth/1.16/data/core/music",),
}
PIECES_A_FOLDER = 14
UNITS, ROUNDS, BATCH, RATE, DECAY = 8, 60, 256, 0.004, 1e-4
FALSE_SHARE = 0.01
WHOLE = 64

Sound = NDArray[np.float64]
Examples = tuple[NDArray[np.float64], NDArray[np.bool_]]
PARTS: tuple[Part, ...] = ("train", "test")


def main() -> int:
    """Train a network for each window, print what it finds, write both."""
    rng = np.random.default_rng(20261122)
    examples = {part: _examples(list(_sounds(part, rng))) for part in PARTS}
    trained = {}
    for seconds in (LONG_S, SHORT_S):
        layers = _train(*examples["train"][seconds], rng)
        trained[str(seconds)] = layers
        measures, is_music = examples["test"][seconds]
        found = Network.of(layers).score(measures) >= 0
        shares = found[is_music].mean(), found[~is_music].mean()
        sys.stdout.write(f"{seconds} s: music {shares[0]:.3f}, speech and noise {shares[1]:.4f}\n")
    WEIGHTS.write_text(json.dumps(trained) + "\n")
    return 0


def _sounds(part: Part, rng: np.random.Generator) -> Iterator[tuple[Sound, bool]]:
    """Clips, and whether they are music."""
    voices = [voice.clips(RATE_HZ) for voice in material.voices(part)]
    kinds = [kind for name, kind in noises(part).items() if name != "music"]
    for piece in _music(part):
        for level_dbov in (-20.0, -28.0, -36.0):
            noise_dbov = rng.choice([-70.0, -60.0, -50.0])
            yield _at(piece, level_dbov) + _at(rng.standard_normal(len(piece)), noise_dbov), True
    for clips in voices:
        for snr_db in (60.0, 20.0, 12.0, 6.0):
            level_dbov = rng.uniform(-30.0, -18.0)
            speech = _at(_talk(clips, rng), level_dbov)
            yield speech + _at(_noise(voices, kinds, rng), level_dbov - snr_db), False
    for _ in range(NOISES_ALONE):
        yield _at(_noise(voices, kinds, rng), rng.uniform(-50.0, -25.0)), False


def _music(part: Part) -> Iterator[Sound]:
    for clip in material.music(part, RATE_HZ):
        yield clip[: CLIP_S * RATE_HZ].astype(np.float64)
    for folder in MUSIC_FOLDERS[part]:
        paths = sorted(Path(folder).glob("*.ogg"))
        for path in paths[:: max(1, len(paths) // PIECES_A_FOLDER)]:
            piece = material.read(path, RATE_HZ)[INTRODUCTION_S * RATE_HZ :][: CLIP_S * RATE_HZ]
            if len(piece) == CLIP_S * RATE_HZ:
                yield piece.astype(np.float64)


def _talk(clips: list[material.Clip], rng: np.random.Generator) -> Sound:
    """One voice with pauses of its own."""
    short = rng.random() < 0.4
    parts: list[NDArray[np.floating]] = []
    while sum(map(len, parts)) < CLIP_S * RATE_HZ:
        pause_s = rng.uniform(0.03, 0.3) if short else rng.uniform(0.15, 1.2)
        parts += [clips[rng.integers(len(clips))], np.zeros(int(pause_s * RATE_HZ))]
    return np.concatenate(parts)[: CLIP_S * RATE_HZ].astype(np.float64)


def _noise(voices: list[list[material.Clip]], kinds: list[Noise], rng: np.random.Generator) -> Sound:
    """One of `kinds`; or coloured noise, steady, swinging, or with the hum of mains or engines; or three to eight
    voices."""
    samples = CLIP_S * RATE_HZ
    time_s = np.arange(samples) / RATE_HZ
    noise: Sound = lfilter([1.0], [1.0, -rng.uniform(-0.3, 0.97)], rng.standard_normal(samples))
    match rng.choice(["kinds", "kinds", "kinds", "steady", "swinging", "hum", "hum", "babble", "babble"]):
        case "kinds":
            noise = np.asarray(kinds[rng.integers(len(kinds))](samples, rng), dtype=np.float64)
        case "swinging":
            noise *= 1.0 + rng.uniform(0.2, 0.95) * np.sin(2 * np.pi * rng.uniform(0.1, 5.0) * time_s)
        case "hum":
            base_hz = rng.choice([50.0, 60.0, rng.uniform(25.0, 120.0)])
            drift = 1.0 + rng.choice([0.0, 0.05, 0.2]) * np.sin(2 * np.pi * rng.uniform(0.05, 0.5) * time_s)
            phase = 2 * np.pi * np.cumsum(base_hz * drift) / RATE_HZ
            hum = sum(rng.random() * np.sin(n * phase + n) for n in range(1, 9))
            noise = _at(noise, -40.0) + _at(np.asarray(hum), rng.uniform(-45.0, -28.0))
        case "babble":
            speakers = rng.choice(len(voices), rng.integers(3, 9))
            noise = sum((_at(_talk(voices[n], rng), rng.uniform(-4.0, 4.0)) for n in speakers), np.zeros(samples))
    return noise


def _at(sound: Sound, level_dbov: float) -> Sound:
    """A sound at an RMS level; 1 is full scale."""
    scaled: Sound = sound * (10.0 ** (level_dbov / 20.0) / np.sqrt(np.square(sound).mean() + 1e-12))
    return scaled


def _examples(sounds: list[tuple[Sound, bool]]) -> dict[int, Examples]:
    """For each window its measures in all sounds, as the engine sees them, and whether that is music."""
    music = _Described()
    music.resize(len(sounds))
    frames = _features([sound for sound, _ in sounds])
    heard = np.zeros(frames.zero.shape, dtype=np.bool_)
    heard[..., 0] = True
    end = np.cumsum(heard[..., :1], axis=0)
    for first in range(0, len(heard), FRAMES_PER_S):
        part = slice(first, first + FRAMES_PER_S)
        second = Features(*(getattr(frames, name)[part] for name in Features.__slots__))
        music.hear(second, heard[part], end[part], heard[part, :, :1])
    labels = np.array([is_music for _, is_music in sounds])
    return {
        seconds: (np.concatenate([found for _, found in parts]), np.concatenate([labels[rows] for rows, _ in parts]))
        for seconds, parts in music.described.items()
    }


def _features(sounds: list[Sound]) -> Features:
    """Features of all sounds as calls side by side, on the first of two channels: (steps, rows, channels)."""
    size = RATE_HZ // FRAMES_PER_S
    steps = min(map(len, sounds)) // size
    fields: dict[str, list[NDArray[Any]]] = {name: [] for name in Features.__slots__}
    for sound in sounds:
        samples = np.clip(np.rint(sound[: steps * size] * 32768.0), -32768, 32767).astype(np.int16).reshape(steps, size)
        before = np.concatenate([np.zeros((1, size // HOPS), np.int16), samples[:-1, -(size // HOPS) :]])
        measured = measure(samples, before, RATE_HZ)
        for name, values in fields.items():
            values.append(getattr(measured, name))
    return Features(
        **{name: np.stack([np.stack(values, axis=1)] * CHANNELS, axis=2) for name, values in fields.items()}
    )


class _Described(Music):
    """Music that keeps what it measures instead of judging it."""

    def __init__(self) -> None:
        super().__init__(MusicThresholds())
        self.described: dict[int, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {LONG_S: [], SHORT_S: []}

    def _score(self, pairs: Pairs, seconds: int) -> NDArray[np.float64]:
        self.described[seconds].append((pairs[0], self.describe(pairs, seconds)))
        return np.full(len(pairs[0]), -1.0)


def _train(measures: NDArray[np.float64], is_music: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, Any]:
    """Fit a layer of rectified units by Adam (Kingma and Ba 2014), each class of equal weight; as whole numbers."""
    mean, scale = measures.mean(axis=0), 1.0 / measures.std(axis=0)
    inputs = np.clip((measures - mean) * scale, -4.0, 4.0)
    weight = np.where(is_music, 0.5 / is_music.mean(), 0.5 / (1.0 - is_music.mean()))
    count = inputs.shape[1]
    layers = [
        rng.standard_normal((count, UNITS)) / np.sqrt(count),
        np.zeros(UNITS),
        rng.standard_normal(UNITS),
        np.zeros(1),
    ]
    first, second = [np.zeros_like(layer) for layer in layers], [np.zeros_like(layer) for layer in layers]
    batches = [
        batch for _ in range(ROUNDS) for batch in np.array_split(rng.permutation(len(inputs)), len(inputs) // BATCH)
    ]
    for number, batch in enumerate(batches, 1):
        gradients = _gradients(layers, inputs[batch], is_music[batch], weight[batch])
        rate = RATE * (1.0 - number / len(batches))
        for layer, gradient, mu, nu in zip(layers, gradients, first, second, strict=True):
            mu += 0.1 * (gradient - mu)
            nu += 0.001 * (gradient**2 - nu)
            layer -= rate * (mu / (1 - 0.9**number)) / (np.sqrt(nu / (1 - 0.999**number)) + 1e-8)
    return _whole(mean, scale, layers, measures[~is_music])


def _gradients(
    layers: list[NDArray[np.float64]],
    inputs: NDArray[np.float64],
    is_music: NDArray[np.bool_],
    weight: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Of the mean cross entropy of a batch, with a little decay of the weights."""
    hidden, hidden_bias, output, output_bias = layers
    units = np.maximum(inputs @ hidden + hidden_bias, 0.0)
    probability = 1.0 / (1.0 + np.exp(-(units @ output + output_bias)))
    error = weight * (probability - is_music) / len(inputs)
    back = np.outer(error, output) * (units > 0)
    return [
        inputs.T @ back + DECAY * hidden,
        back.sum(axis=0),
        units.T @ error + DECAY * output,
        error.sum(keepdims=True),
    ]


def _whole(
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    layers: list[NDArray[np.float64]],
    others: NDArray[np.float64],
) -> dict[str, Any]:
    """The layers in whole numbers, with a bias by which 1 % of the others' windows are music."""
    hidden, hidden_bias, output, output_bias = layers
    unit = WHOLE * WHOLE * FEATURE_STEPS
    whole = {
        "mean": mean.round(4).tolist(),
        "scale": scale.round(4).tolist(),
        "hidden": np.rint(hidden * WHOLE).astype(int).tolist(),
        "hidden_bias": np.rint(hidden_bias * WHOLE * FEATURE_STEPS).astype(int).tolist(),
        "output": np.rint(output * WHOLE).astype(int).tolist(),
        "output_bias": round(float(output_bias[0]) * unit),
        "unit": unit,
    }
    margin = np.quantile(Network.of(whole).score(others), 1.0 - FALSE_SHARE)
    return whole | {"output_bias": whole["output_bias"] - round(float(margin) * unit)}


if __name__ == "__main__":
    sys.exit(main())
