"""Synthetic calls whose activity is known to the frame, and what tests do with findings."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from analysis import CallBank, Finding
from analysis.audio import Encoding
from analysis.features import FRAME_MS, Features
from analysis.findings import Heard, State
from analysis.lookahead import LOOK_AHEAD_FRAMES
from analysis.rows import Bools, Ints, Rows
from analysis.vad import Probabilities, VoiceActivity

RATE_HZ = 8000
FRAME = 160
LOOK_AHEAD_MS = LOOK_AHEAD_FRAMES * FRAME_MS
SPEECH_DBOV = -22.0
ROOM_DBOV = -64.0
SYLLABLE_MS = 220
FORMANTS_HZ = ((700, 1200, 2600), (300, 2300, 3000), (500, 900, 2400), (400, 1900, 2500))

Samples = NDArray[np.int16]
Voice = Callable[[int, int], NDArray[np.float64]]
"""Makes a talkspurt: (ms, seed)."""


def amplitude(level_dbov: float) -> float:
    return 32768.0 * 10 ** (level_dbov / 20)


def room(ms: int, seed: int = 0, level_dbov: float = ROOM_DBOV, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """White room tone."""
    noise = np.random.default_rng(seed).standard_normal(ms * rate_hz // 1000)
    return noise * amplitude(level_dbov)


def babble(ms: int, seed: int = 0, level_dbov: float = SPEECH_DBOV, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """Noise with the spectral tilt of a voice, below 2 kHz or so, without any dips."""
    width = rate_hz // 2000
    noise = np.random.default_rng(seed).standard_normal(ms * rate_hz // 1000 + width - 1)
    return np.convolve(noise, np.ones(width) / np.sqrt(width), "valid") * amplitude(level_dbov)


def talk(ms: int, seed: int = 0, level_dbov: float = SPEECH_DBOV, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """Vowels of a gliding, breathy voice, between four and five a second, louder and softer: near enough to speech for
    the engine's own ears."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(ms * rate_hz // 1000) / rate_hz
    pitch_hz = 120 + 60 * (seed % 3) + 40 * np.sin(2 * np.pi * 0.6 * time_s + seed)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    syllable = (time_s * 1000 // SYLLABLE_MS).astype(int)
    formants = np.array(FORMANTS_HZ)[rng.integers(len(FORMANTS_HZ), size=syllable[-1] + 1)][syllable]
    sound = np.zeros(len(time_s))
    for harmonic in range(1, int(3600 / pitch_hz.max())):
        apart = (harmonic * pitch_hz)[:, None] - formants
        sound += np.cos(harmonic * phase) * (1 / (1 + (apart / 90) ** 2) * (1.0, 0.5, 0.3)).sum(axis=1)
    sound += 0.05 * np.diff(rng.standard_normal(len(sound) + 1))
    sound *= 0.1 + np.sin(np.pi * (time_s * 1000 % SYLLABLE_MS) / SYLLABLE_MS) ** 2
    sound *= rng.uniform(0.5, 1.0, syllable[-1] + 1)[syllable]
    return sound * amplitude(level_dbov) / np.sqrt(np.mean(np.square(sound)))


def channel(ms: int, spurts: Iterable[tuple[int, int]], seed: int = 0, voice: Voice = babble) -> NDArray[np.float64]:
    """Room tone with talkspurts from..to, ms."""
    sound = room(ms, seed)
    for start, end in spurts:
        sound[start * 8 : end * 8] += voice(end - start, seed + start)
    return sound


def to_samples(*channels: NDArray[np.float64]) -> Samples:
    """Channels side by side as int16 (n, channels)."""
    return np.clip(np.rint(np.stack(channels, axis=1)), -32768, 32767).astype(np.int16)


def call(
    ms: int, caller: Iterable[tuple[int, int]], agent: Iterable[tuple[int, int]], voice: Voice = babble
) -> Samples:
    """A two-party call."""
    return to_samples(channel(ms, caller, 1, voice), channel(ms, agent, 2, voice))


class LevelVad:
    """Speech is what is louder than -40 dBov: makes the activity of synthetic calls known to the frame."""

    rows: Sequence[Rows] = ()

    def judge(self, frames: Features, heard: Bools, lengths: Ints) -> Probabilities:
        return np.ones(heard.shape, dtype=np.float32)

    def decide(self, probability: Probabilities, frame: Features, heard: Bools) -> Bools:
        return heard & (probability > 0) & (frame.level_dbov > -40.0)


def hear(samples: Samples, channels: Sequence[str] = ("caller", "agent")) -> list[Finding]:
    """All findings of a call pushed at once, speech told by its level."""
    bank = CallBank(vad=LevelVad())
    bank.open("c", RATE_HZ, channels)
    bank.push("c", samples)
    return [finding for _, finding in bank.tick()] + bank.close("c")


def closed(findings: Iterable[Finding], *types: str) -> list[Heard]:
    """The events of some types in their final form."""
    return [f.event for f in findings if f.state is State.CLOSED and (not types or f.event.type in types)]


def spans(findings: Iterable[Finding], *types: str) -> list[tuple[str, int, int, str]]:
    """Channel, start, duration and severity of the events of some types."""
    return [(e.channel, e.timestamp, e.duration, e.severity) for e in closed(findings, *types)]


def pieces(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The data cut into pieces of these sizes, over and over."""
    at = 0
    for size in cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


def bank_of(
    call_id: str, encoding: Encoding = Encoding.LINEAR16, rate_hz: int = RATE_HZ, vad: VoiceActivity | None = None
) -> CallBank:
    """A bank with one open two-party call, speech told by its level unless `vad` is given."""
    bank = CallBank(vad=vad or LevelVad())
    bank.open(call_id, rate_hz, encoding=encoding)
    return bank
