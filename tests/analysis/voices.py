"""Synthetic calls whose activity is known to the frame, and what tests do with findings."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from analysis import CallAnalyzer, CallBank, Finding
from analysis.audio import Encoding
from analysis.features import FRAME_MS
from analysis.findings import CallEvent, State
from analysis.lookahead import LOOK_AHEAD_FRAMES

RATE_HZ = 8000
FRAME = 160
LOOK_AHEAD_MS = LOOK_AHEAD_FRAMES * FRAME_MS
SPEECH_DBOV = -22.0
ROOM_DBOV = -64.0
SYLLABLE_MS, DIP_MS = 400, 40  # speech has dips, else it is noise to a minimum-statistics floor

Samples = NDArray[np.int16]


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


def speech(ms: int, seed: int = 0, level_dbov: float = SPEECH_DBOV) -> NDArray[np.float64]:
    """One talkspurt of exactly this length."""
    sound = babble(ms, seed, level_dbov)
    for dip in range(SYLLABLE_MS, ms - DIP_MS, SYLLABLE_MS + DIP_MS):
        sound[dip * 8 : (dip + DIP_MS) * 8] = 0
    return sound


def channel(ms: int, spurts: Iterable[tuple[int, int]], seed: int = 0) -> NDArray[np.float64]:
    """Room tone with talkspurts from..to, ms."""
    sound = room(ms, seed)
    for start, end in spurts:
        sound[start * 8 : end * 8] += speech(end - start, seed + start)
    return sound


def to_samples(*channels: NDArray[np.float64]) -> Samples:
    """Channels side by side as int16 (n, channels)."""
    return np.clip(np.rint(np.stack(channels, axis=1)), -32768, 32767).astype(np.int16)


def call(ms: int, caller: Iterable[tuple[int, int]], agent: Iterable[tuple[int, int]]) -> Samples:
    """A two-party call."""
    return to_samples(channel(ms, caller, 1), channel(ms, agent, 2))


def hear(samples: Samples, channels: Sequence[str] = ("caller", "agent")) -> list[Finding]:
    """All findings of a call pushed at once."""
    analyzer = CallAnalyzer(RATE_HZ, channels)
    return analyzer.push(samples) + analyzer.finish()


def closed(findings: Iterable[Finding], *types: str) -> list[CallEvent]:
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


def bank_of(call_id: str, encoding: Encoding = Encoding.LINEAR16, rate_hz: int = RATE_HZ) -> CallBank:
    """A bank with one open two-party call."""
    bank = CallBank()
    bank.open(call_id, rate_hz, encoding=encoding)
    return bank
