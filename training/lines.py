"""One side of made-up calls: speech and noise through telephones, lines and codecs, and which frames are speech."""

import subprocess
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from analysis.audio import Encoding, decode
from training.material import Clip, Part, Voice, active_level_dbov, speech_hops, voices
from training.noises import RATE_HZ, noises, signals

FRAME = RATE_HZ // 50

_HOP = RATE_HZ // 100
_G711 = [np.sort(decode(bytes(range(256)), law).astype(np.float64)) for law in (Encoding.MULAW, Encoding.ALAW)]


@dataclass(frozen=True, slots=True)
class Line:
    """Samples (int16, at 8 kHz), and which frames of 20 ms are speech: at least half of them is."""

    samples: NDArray[np.int16]
    speech: NDArray[np.bool_]


class Exchange:
    """Makes lines out of one part of the material, each by its own seed.

    Voices are drawn by the amount of speech there is of them, to the power of a half; recorded ones four times as
    often as synthetic ones.
    """

    def __init__(self, part: Part) -> None:
        made = [(voice, voice.clips()) for voice in voices(part)]
        self._clips = [clips for _, clips in made]
        shares = np.array([_share(voice, clips) for voice, clips in made])
        self._shares = shares / shares.sum()
        self.noises = noises(part)

    def anything(self, seed: int, seconds: float = 30.0) -> Line:
        """A line with any voice, noise, level, telephone, codec and fault; one in eight without speech."""
        rng = np.random.default_rng(seed)
        n = int(seconds * RATE_HZ) // FRAME * FRAME
        if rng.random() < 0.12:
            sound = signals(n, rng) if rng.random() < 0.5 else self._noise(n, rng, 0.0)
            sound, speech = (
                _at(sound, 0.0) + _at(rng.standard_normal(n), -rng.uniform(30, 70)),
                np.zeros(n // FRAME, bool),
            )
        else:
            clean, speech = self.talk(n, rng)
            sound = _reverberant(clean, rng) if rng.random() < 0.25 else clean
            sound = sound + self._noise(n, rng, rng.choice([rng.uniform(-5, 40), rng.uniform(5, 30), 60.0]))
            if rng.random() < 0.1:
                sound += 0.5 * signals(n, rng) * np.repeat(~speech, FRAME) * (np.arange(n) > rng.integers(n))
        return Line(_faulty(_carried(sound, rng), rng), speech)

    def noisy(self, seed: int, noise: str | None, snr_db: float, seconds: float = 60.0) -> Line:
        """A line with speech of -26 dBov, one noise at a signal-to-noise ratio, and a faint room tone."""
        rng = np.random.default_rng(seed)
        n = int(seconds * RATE_HZ) // FRAME * FRAME
        sound, speech = self.talk(n, rng)
        if noise is not None:
            sound = sound + _at(self.noises[noise](n, rng), -snr_db)
        return Line(_int16((sound + _at(rng.standard_normal(n), -42.0)) * 10 ** (-26 / 20)), speech)

    def talk(self, n: int, rng: np.random.Generator) -> tuple[Clip, NDArray[np.bool_]]:
        """Utterances of one voice, active level 0 dB, with pauses, and the frames that are speech."""
        clips = self._clips[rng.choice(len(self._clips), p=self._shares)]
        sound, hops = np.zeros(n), np.zeros(n // _HOP, dtype=np.bool_)
        pause_hops = 100 * rng.choice([0.4, 1.0, 2.5])
        at = 0 if rng.random() < 0.25 else int(rng.exponential(pause_hops))
        while at < len(hops):
            clip = clips[rng.integers(len(clips))]
            speech = speech_hops(clip, RATE_HZ)[: len(hops) - at]
            gain_db = rng.normal(0, 1.5) - active_level_dbov(clip, RATE_HZ)
            if gain_db < 70:  # not an empty file
                part = slice(at * _HOP, (at + len(speech)) * _HOP)
                sound[part] = clip[: len(speech) * _HOP] * 10 ** (gain_db / 20)
                hops[at : at + len(speech)] = speech
            at += len(speech) + int(rng.exponential(pause_hops))
        return sound, hops.reshape(-1, 2).any(axis=1)

    def _noise(self, n: int, rng: np.random.Generator, snr_db: float) -> Clip:
        """A noise over a faint room tone; now and then it begins, ends or jumps within the line."""
        kind = list(self.noises.values())[rng.integers(len(self.noises))]
        noise = _at(kind(n, rng), -snr_db)
        if rng.random() < 0.2:
            first, last = np.sort(rng.integers(0, n, 2))
            noise[first:last] *= 10 ** (rng.choice([-60.0, -10.0, 10.0]) / 20)
        return noise + _at(rng.standard_normal(n), -rng.uniform(35, 60))


def _share(voice: Voice, clips: list[Clip]) -> float:
    return (4.0 if voice.recorded else 1.0) * float(np.sqrt(sum(map(len, clips))))


def _at(sound: Clip, db: float) -> Clip:
    """Sound of this power."""
    return sound * 10 ** (db / 20) / (np.sqrt(np.mean(np.square(sound))) + 1e-9)


def _reverberant(sound: Clip, rng: np.random.Generator) -> Clip:
    """In a room: a decaying noise after each sound, RT60 0.15 to 0.6 s."""
    tail = rng.standard_normal(int(0.6 * RATE_HZ)) * 10 ** (
        -3 * np.arange(int(0.6 * RATE_HZ)) / RATE_HZ / rng.uniform(0.15, 0.6)
    )
    tail *= rng.uniform(0.1, 0.7) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    return fftconvolve(sound, tail)[: len(sound)]


def _carried(sound: Clip, rng: np.random.Generator) -> Clip:
    """Through a telephone: its band, its timbre, its gain (-45..-10 dBov), sometimes too much of it."""
    low_hz, high_hz = rng.choice([80.0, 200.0, 300.0]), rng.choice([3400.0, 3600.0, 3900.0])
    sound = sosfilt(butter(3, (low_hz, high_hz), "bandpass", fs=RATE_HZ, output="sos"), sound)
    if rng.random() < 0.5:
        tilt = rng.uniform(-0.6, 0.6)
        sound = sound + tilt * np.concatenate([[0.0], sound[:-1]])
    sound = sound * 10 ** (rng.uniform(-45, -10) / 20)
    if rng.random() < 0.1:
        return np.clip(sound * 10 ** (rng.uniform(6, 20) / 20), -1, 1) * rng.uniform(0.1, 1.0)
    return sound


def _faulty(sound: Clip, rng: np.random.Generator) -> NDArray[np.int16]:
    """Through a codec and a network: G.711 or GSM, a noise gate, lost frames filled with zeros or repeated."""
    samples = _int16(sound)
    codec = rng.random()
    if codec < 0.55:
        law = _G711[rng.integers(2)]
        samples = law[np.clip(np.searchsorted((law[1:] + law[:-1]) / 2, samples), 0, 255)].astype(np.int16)
    elif codec < 0.7:
        samples = _gsm(samples)
    frames = samples.reshape(-1, FRAME).copy()
    if rng.random() < 0.08:
        level = np.sqrt(np.square(frames.astype(np.float64)).mean(axis=1))
        frames[np.convolve(level > np.median(level), np.ones(15), "same") == 0] = 0
    if rng.random() < 0.15:
        lost = np.flatnonzero(rng.random(len(frames)) < rng.uniform(0.01, 0.1))
        frames[lost] = frames[lost - 1] if rng.random() < 0.5 else 0
    return frames.reshape(-1)


def _gsm(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    raw = ["-t", "raw", "-r", str(RATE_HZ), "-e", "signed", "-b", "16", "-c", "1"]
    coded = subprocess.run(
        ["sox", *raw, "-", "-t", "gsm", "-"], input=samples.tobytes(), check=True, capture_output=True
    )
    done = subprocess.run(["sox", "-t", "gsm", "-", *raw, "-"], input=coded.stdout, check=True, capture_output=True)
    return np.resize(np.frombuffer(done.stdout, dtype="<i2"), len(samples)).astype(np.int16)


def _int16(sound: Clip) -> NDArray[np.int16]:
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
