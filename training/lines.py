"""One side of made-up calls: speech and noise through telephones, lines and codecs, and which frames are speech."""

import subprocess
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from analysis.audio import Encoding, decode
from training.material import BRIDGED_HOPS, Clip, Part, Voice, active_level_dbov, bridged, loud_hops, voices
from training.noises import RATE_HZ, noises, signals

FRAME = RATE_HZ // 50

_HOP = RATE_HZ // 100
_PAUSE_HOPS = 30
_G711 = [np.sort(decode(bytes(range(256)), law).astype(np.float64)) for law in (Encoding.MULAW, Encoding.ALAW)]


@dataclass(frozen=True, slots=True)
class Line:
    """Samples (int16, at 8 kHz) and what its frames of 20 ms are.

    Attributes:
        speech: at least half of the frame is loud.
        gap: it is not, but within a gap that talkspurts bridge.
    """

    samples: NDArray[np.int16]
    speech: NDArray[np.bool_]
    gap: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: NDArray[np.int16], loud: NDArray[np.bool_]) -> "Line":
        """A line by its hops of 10 ms that are loud."""
        speech, talk = (hops.reshape(-1, 2).any(axis=1) for hops in (loud, bridged(loud, BRIDGED_HOPS)))
        return cls(samples, speech, talk & ~speech)

    def cut(self, pieces: int) -> "list[Line]":
        """So many lines of one length, one after the other: most of them begin amid speech or noise."""
        columns = (np.split(column, pieces) for column in (self.samples, self.speech, self.gap))
        return [Line(*piece) for piece in zip(*columns, strict=True)]


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

    def anything(self, seed: int, *, sudden: bool = False, seconds: float = 60.0) -> Line:
        """A line with any voice, noise, level, telephone, codec and fault, and `sudden` noises; one in eight without
        speech."""
        rng = np.random.default_rng(seed)
        n = int(seconds * RATE_HZ) // FRAME * FRAME
        loud = np.zeros(n // _HOP, dtype=np.bool_)
        if rng.random() < 0.12:
            sound = signals(n, rng) if rng.random() < 0.5 else self._noise(n, rng, 0.0)
            sound = at(sound, 0.0) + at(rng.standard_normal(n), -rng.uniform(30, 70))
        else:
            clean, loud = self.talk(n, rng, raised=0.06 if rng.random() < 0.3 else 0.0)
            sound = reverberant(clean, rng, 0.7) if rng.random() < 0.25 else clean
            sound = sound + self._noise(n, rng, rng.choice([rng.uniform(-5, 40), rng.uniform(5, 30), 60.0]))
            if rng.random() < 0.1:
                sound += self._others(n, rng)
            if rng.random() < 0.1:
                pause = ~bridged(loud, _PAUSE_HOPS)
                sound += 0.5 * signals(n, rng) * np.repeat(pause, _HOP) * (np.arange(n) > rng.integers(n))
        if sudden:
            sound = sound + _bursts(n, rng)
        return Line.of(_faulty(_carried(sound, rng), rng), loud)

    def noisy(self, seed: int, noise: str | None, snr_db: float, seconds: float = 60.0) -> Line:
        """A line with speech of -26 dBov, one noise at a signal-to-noise ratio, and a faint room tone."""
        rng = np.random.default_rng(seed)
        n = int(seconds * RATE_HZ) // FRAME * FRAME
        sound, loud = self.talk(n, rng)
        if noise is not None:
            sound = sound + at(self.noises[noise](n, rng), -snr_db)
        return Line.of(int16((sound + at(rng.standard_normal(n), -42.0)) * 10 ** (-26 / 20)), loud)

    def talk(self, n: int, rng: np.random.Generator, raised: float = 0.0) -> tuple[Clip, NDArray[np.bool_]]:
        """Utterances of one voice, active level 0 dB, with pauses, and the hops of 10 ms in which it is loud.

        A share of the utterances, `raised`, is 8 to 20 dB louder.
        """
        clips = self._clips[rng.choice(len(self._clips), p=self._shares)]
        sound, hops = np.zeros(n), np.zeros(n // _HOP, dtype=np.bool_)
        pause_hops = 100 * rng.choice([0.4, 1.0, 2.5, 6.0])
        at = 0 if rng.random() < 0.25 else int(rng.exponential(pause_hops))
        while at < len(hops):
            clip = clips[rng.integers(len(clips))]
            loud = loud_hops(clip, RATE_HZ)[: len(hops) - at]
            gain_db = rng.normal(0, 1.5) - active_level_dbov(clip, RATE_HZ)
            if gain_db < 70:  # not an empty file
                gain_db += rng.uniform(8, 20) if rng.random() < raised else 0.0
                part = slice(at * _HOP, (at + len(loud)) * _HOP)
                sound[part] = clip[: len(loud) * _HOP] * 10 ** (gain_db / 20)
                hops[at : at + len(loud)] = loud
            at += len(loud) + int(rng.exponential(pause_hops))
        return sound, hops

    def _others(self, n: int, rng: np.random.Generator) -> Clip:
        """One to three voices 14 to 34 dB weaker, which are not the party's own: most of them are far away."""
        sound = np.zeros(n)
        for _ in range(rng.integers(1, 4)):
            voice, _ = self.talk(n, rng)
            if rng.random() < 0.7:
                voice = lfilter([1], [1, -rng.uniform(0, 0.7)], reverberant(voice, rng, 2.0))
            sound += at(voice, -rng.uniform(14, 34))
        return sound

    def _noise(self, n: int, rng: np.random.Generator, snr_db: float) -> Clip:
        """A noise over a faint room tone; now and then it begins, ends or jumps within the line."""
        kind = list(self.noises.values())[rng.integers(len(self.noises))]
        noise = at(kind(n, rng), -snr_db)
        if rng.random() < 0.2:
            first, last = np.sort(rng.integers(0, n, 2))
            noise[first:last] *= 10 ** (rng.choice([-60.0, -10.0, 10.0]) / 20)
        return noise + at(rng.standard_normal(n), -rng.uniform(35, 60))


def _share(voice: Voice, clips: list[Clip]) -> float:
    return (4.0 if voice.recorded else 1.0) * float(np.sqrt(sum(map(len, clips))))


def at(sound: Clip, db: float) -> Clip:
    """Sound of this power."""
    return sound * 10 ** (db / 20) / (np.sqrt(np.mean(np.square(sound))) + 1e-9)


def _bursts(n: int, rng: np.random.Generator) -> Clip:
    """Up to ten noises that begin suddenly and last 0.1 to 2 s, 15 dB weaker to 15 dB louder than speech."""
    sound = np.zeros(n)
    for _ in range(rng.integers(1, 11)):
        noise = lfilter([1], [1, -rng.uniform(-0.5, 0.95)], rng.standard_normal(int(rng.uniform(0.1, 2.0) * RATE_HZ)))
        noise *= np.exp(-rng.choice([0.0, 3.0]) * np.arange(len(noise)) / len(noise))
        start = rng.integers(n - len(noise))
        sound[start : start + len(noise)] += at(noise, rng.uniform(-15, 15))
    return sound


def reverberant(sound: Clip, rng: np.random.Generator, strongest: float) -> Clip:
    """In a room: a decaying noise after each sound, RT60 0.15 to 0.6 s, up to so much stronger than the sound."""
    tail = rng.standard_normal(int(0.6 * RATE_HZ)) * 10 ** (
        -3 * np.arange(int(0.6 * RATE_HZ)) / RATE_HZ / rng.uniform(0.15, 0.6)
    )
    tail *= rng.uniform(0.1, strongest) / np.sqrt(np.square(tail).sum())
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
    samples = int16(sound)
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


def int16(sound: Clip) -> NDArray[np.int16]:
    """Samples of a sound of full scale 1."""
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
