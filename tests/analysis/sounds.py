"""Sounds that are no speech, and what a line does to speech: tones, music, echoes. Samples on the 16-bit scale."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from tests.analysis.voices import RATE_HZ, amplitude

Sound = NDArray[np.float64]

DTMF_LOW_HZ, DTMF_HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
CHORDS_HZ = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
LEVEL_DBOV = -22.0


def silence(ms: int) -> Sound:
    return np.zeros(ms * RATE_HZ // 1000)


def sines(ms: int, *frequencies_hz: float, level_dbov: float = LEVEL_DBOV) -> Sound:
    """Sinusoids of equal level."""
    time_s = np.arange(ms * RATE_HZ // 1000) / RATE_HZ
    waves = [np.sin(2 * np.pi * hz * time_s + number) for number, hz in enumerate(frequencies_hz)]
    sound: Sound = amplitude(level_dbov) * np.sqrt(2 / len(waves)) * np.sum(waves, axis=0)
    return sound


def cadence(ms: int, on_ms: int, off_ms: int, *frequencies_hz: float) -> Sound:
    """A tone that comes and goes."""
    period = np.concatenate([sines(on_ms, *frequencies_hz), silence(off_ms)])
    return np.resize(period, ms * RATE_HZ // 1000)


def dtmf(count: int, on_ms: int, off_ms: int) -> Sound:
    """Keys, one after the other."""
    keys = [(low, high) for low in DTMF_LOW_HZ for high in DTMF_HIGH_HZ]
    parts = [np.concatenate([sines(on_ms, *key), silence(off_ms)]) for key, _ in zip(cycle(keys), range(count))]
    return np.concatenate(parts)


def music(ms: int, level_dbov: float = LEVEL_DBOV) -> Sound:
    """Chords with overtones over a bass, a new one each half second, plucked and held."""
    beat_ms = 500
    parts = []
    for number in range(-(-ms // beat_ms)):
        chord = CHORDS_HZ[number // 2 % len(CHORDS_HZ)]
        time_s = np.arange(beat_ms * RATE_HZ // 1000) / RATE_HZ
        tones = [np.sin(2 * np.pi * hz * n * time_s) / n for hz in (chord[0] / 2, *chord) for n in (1, 2, 3, 5)]
        parts.append(np.sum(tones, axis=0) * (0.4 + np.exp(-4 * time_s)))
    sound = np.concatenate(parts)[: ms * RATE_HZ // 1000]
    scaled: Sound = sound * amplitude(level_dbov) / np.sqrt(np.square(sound).mean())
    return scaled


def echo(far: Sound, delay_ms: int, erl_db: float, seed: int = 0) -> Sound:
    """What comes back of a sound, through a small room."""
    room = np.random.default_rng(seed).standard_normal(160) * np.exp(-np.arange(160) / 30)
    room[0] += 2.0
    returned = np.convolve(np.concatenate([silence(delay_ms), far]), room)[: len(far)]
    gain = 10 ** (-erl_db / 20) * np.sqrt(np.square(far).mean() / np.square(returned).mean())
    scaled: Sound = returned * gain
    return scaled


def spurts(ms: int, every_ms: int, length_ms: int, first_ms: int = 500) -> Sequence[tuple[int, int]]:
    """Regular talkspurts from..to, ms."""
    return [(start, start + length_ms) for start in range(first_ms, ms - length_ms, every_ms)]
