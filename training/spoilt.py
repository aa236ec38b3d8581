"""Speech spoilt in every way that a phone call can be, with what PESQ (ITU-T P.862) says of it.

The examples are kept in `var/spoilt/`. Needs `pesq`, the packages of `training.material`, `opus-tools` and `speex`.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from training.material import Clip, Part, Voice, music, voices

RATE_HZ = 8000
EXAMPLES: dict[Part, int] = {"train": 3600, "test": 700}
Kind = Literal["", "varied", "sparse", "sparser"]
"""Of speech: as it is; as if of other speakers; of synthetic voices, too, with long pauses in a room, in two rounds."""
KEPT = Path(__file__).parents[1] / "var" / "spoilt"

# Recorded without noise or coding: PESQ compares with the original, so what spoils that already could not be told.
_CLEAN: dict[Part, str] = {
    "train": "en-allison fr-june es-allison ru-ivrvoice it-carlo flite-slt flite-awb",
    "test": "it-menardi en-austen en-forig en-morig en-hts1a en-hts2a flite-rms",
}

_SPARSE = ("sparse", "sparser")
_SEEDS: dict[tuple[Part, Kind], int] = {
    ("test", ""): 7,
    ("test", "sparse"): 8,
    ("train", "sparse"): 9,
    ("train", "sparser"): 10,
}
_LENGTH = 6 * RATE_HZ
_FRAME = RATE_HZ // 50
_SPEECH_DBOV = -26.0

Chance = np.random.Generator


def _level(x: Clip, dbov: float) -> Clip:
    rms = float(np.sqrt(np.mean(np.square(x)))) + 1e-9
    return (x * (10 ** (dbov / 20) / rms)).astype(np.float32)


def speech(clips: list[Clip], chance: Chance, kind: Kind) -> Clip:
    """Six seconds of one voice, with pauses of up to a second between its utterances, or of up to four."""
    longest_s = 4.0 if kind in _SPARSE else 1.0
    pieces: list[Clip] = [np.zeros(int(chance.uniform(0.1, 0.8) * RATE_HZ), np.float32)]
    tract = chance.uniform(0.85, 1.18) if kind == "varied" else 1.0
    while sum(map(len, pieces)) < _LENGTH:
        clip = clips[chance.integers(len(clips))]
        if kind == "varied":
            clip = np.interp(np.arange(0, len(clip) - 1, tract), np.arange(len(clip)), clip).astype(np.float32)
        pieces += [_level(clip, _SPEECH_DBOV), np.zeros(int(chance.uniform(0.1, longest_s) * RATE_HZ), np.float32)]
    return np.concatenate(pieces)[:_LENGTH]


def in_a_room(x: Clip, chance: Chance) -> Clip:
    """Soft noise that nobody minds, such as every microphone has."""
    noise = lfilter([1.0], [1.0, -chance.uniform(0.5, 0.95)], chance.normal(size=len(x))).astype(np.float32)
    return x + _level(noise, chance.uniform(-78, -60))


# Each way to spoil takes speech in -1..1, and gives as much of it back.


def with_noise(x: Clip, chance: Chance, others: list[Clip]) -> Clip:
    """Noise of a colour, of a fan, of music or of other people, at an SNR of 0 to 35 dB."""
    match chance.integers(4):
        case 0:
            noise = lfilter([1.0], [1.0, -chance.uniform(0, 0.98)], chance.normal(size=len(x)))
        case 1:
            tones = chance.uniform(50, 1500, size=(5, 1))
            time = np.arange(len(x)) / RATE_HZ
            noise = np.sin(2 * np.pi * tones * time).sum(axis=0) + 0.3 * chance.normal(size=len(x))
        case _:
            noise = np.zeros(len(x))
            for _ in range(int(chance.integers(1, 6))):
                other = others[chance.integers(len(others))]
                noise += np.resize(np.roll(other, chance.integers(len(other))), len(x))
    return x + _level(noise.astype(np.float32), _SPEECH_DBOV - chance.uniform(0, 35))


def clipped(x: Clip, chance: Chance) -> Clip:
    """Driven 3 to 25 dB beyond full scale."""
    gain = 10 ** (chance.uniform(3, 25) / 20) / (np.abs(x).max() + 1e-9)
    return np.clip(x * gain, -1.0, 1.0) * np.float32(chance.uniform(0.3, 1.0))


def losing_packets(x: Clip, chance: Chance) -> Clip:
    """Frames of 20 ms lost, at random or in bursts, filled with nothing, a repeat, a fading repeat or soft noise."""
    share, stay = chance.uniform(0.005, 0.2), chance.choice([0.0, 0.3, 0.6])
    frames = x[: len(x) // _FRAME * _FRAME].reshape(-1, _FRAME).copy()
    fill, lost, run = chance.integers(4), False, 0
    for number in range(1, len(frames)):
        lost = bool(chance.random() < (stay if lost else share * (1 - stay) / (1 - share)))
        run = run + 1 if lost else 0
        if lost:
            frames[number] = (
                np.zeros(_FRAME),
                frames[number - 1],
                frames[number - 1] * 0.6,
                1e-3 * chance.normal(size=_FRAME),
            )[fill]
    return frames.reshape(-1)


def narrowed(x: Clip, chance: Chance) -> Clip:
    """Less bandwidth than a phone has."""
    low, high = chance.uniform(100, 600), chance.uniform(1500, 3600)
    return sosfilt(butter(4, [low, high], "band", fs=RATE_HZ, output="sos"), x).astype(np.float32)


def echoing(x: Clip, chance: Chance) -> Clip:
    """In a room with hard walls."""
    tail = chance.normal(size=int(chance.uniform(0.05, 0.4) * RATE_HZ))
    tail *= np.exp(-6.9 * np.arange(len(tail)) / len(tail)) * chance.uniform(0.02, 0.15)
    tail[0] = 1.0
    return np.convolve(x, tail)[: len(x)].astype(np.float32)


def coded(x: Clip, chance: Chance) -> Clip:
    """Through a codec and back, once."""
    match chance.integers(6):
        case 0 | 1:
            return _through([["sox", "-D", "{in}", "-e", "mu-law", "-b", "8", "{out}"]], x)
        case 2:
            return _through([["sox", "-D", "{in}", "-t", "gsm", "{a}"], ["sox", "-D", "-t", "gsm", "{a}", "{out}"]], x)
        case 3:
            rate = str(chance.integers(8))
            coding = ["sox", "-D", "{in}", "-t", "amr-nb", "-C", rate, "{a}"]
            return _through([coding, ["sox", "-D", "-t", "amr-nb", "{a}", "-r", "8000", "{out}"]], x)
        case 4:
            rate = str(chance.choice([6, 8, 12, 16, 24]))
            coding = ["opusenc", "--quiet", "--speech", "--bitrate", rate, "{in}", "{a}"]
            return _through([coding, ["opusdec", "--quiet", "--rate", "8000", "{a}", "{out}"]], x)
        case _:
            coding = ["speexenc", "--quality", str(chance.integers(1, 9)), "{in}", "{a}"]
            return _through([coding, ["speexdec", "{a}", "{out}"]], x)


def _through(commands: list[list[str]], x: Clip) -> Clip:
    """What programs make of it; codecs delay, PESQ aligns."""
    with TemporaryDirectory() as folder:
        names = {name: f"{folder}/{name}.{'wav' if name != 'a' else 'x'}" for name in ("in", "a", "out")}
        raw = (np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()
        wav = ["sox", "-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-", names["in"]]
        subprocess.run(wav, input=raw, check=True, capture_output=True)
        for command in commands:
            filled = [part.format_map(names) if "{" in part else part for part in command]
            subprocess.run(filled, check=True, capture_output=True)
        back = ["sox", names["out"], "-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-"]
        done = subprocess.run(back, check=True, capture_output=True).stdout
    y = np.frombuffer(done, "<i2").astype(np.float32) / np.float32(32768)
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


WAYS: tuple[tuple[Callable[..., Clip], float], ...] = (  # in the order in which they happen, and how often
    (echoing, 0.1),
    (with_noise, 0.45),
    (clipped, 0.2),
    (narrowed, 0.1),
    (coded, 0.7),
    (losing_packets, 0.4),
    (coded, 0.15),
)


def spoil(x: Clip, chance: Chance, others: list[Clip]) -> Clip:
    """Spoilt in some of the ways, at some level."""
    for way, likely in WAYS:
        if chance.random() < likely:
            x = way(x, chance, others) if way is with_noise else way(x, chance)
    return _level(x, chance.uniform(-42, -16)) if chance.random() < 0.5 else x


def _speakers(part: Part, kind: Kind) -> list[Voice]:
    recorded = [voice for voice in voices(part) if voice.name in _CLEAN[part].split()]
    return recorded + [voice for voice in voices(part) if kind in _SPARSE and not voice.recorded]


def examples(part: Part, count: int, kind: Kind) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Spoilt speech, (count, samples) at 8000 Hz, and its narrowband PESQ, (count,), -0.5..4.5."""
    from pesq import PesqError, pesq

    chance = np.random.default_rng(_SEEDS.get((part, kind), 20261122))
    everybody = {voice.name: clips for voice in voices(part) if (clips := voice.clips(RATE_HZ))}
    speakers = [everybody[voice.name] for voice in _speakers(part, kind) if voice.name in everybody]
    others = music(part) + [clip for clips in everybody.values() for clip in clips[:10] if len(clip) > RATE_HZ // 2]
    spoilt, scores = [], []
    while len(scores) < count:
        clean = speech(speakers[chance.integers(len(speakers))], chance, kind)
        degraded = in_a_room(clean, chance) if kind in _SPARSE else clean
        degraded = np.clip(spoil(degraded, chance, others), -1, 1)
        try:
            score = pesq(RATE_HZ, clean, degraded.astype(np.float32), "nb")
        except PesqError:
            continue  # no utterance found
        spoilt.append((degraded * 32767).astype(np.int16))
        scores.append(score)
        if len(scores) % 200 == 0:
            print(len(scores), flush=True)
    return np.stack(spoilt), np.array(scores, np.float32)


def kept(part: Part, kind: Kind = "") -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """As `examples`, made once; a sparse round has half as many."""
    path = KEPT / f"{part}{'-' * bool(kind)}{kind}.npz"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        spoilt, scores = examples(part, EXAMPLES[part] // (2 if kind in _SPARSE else 1), kind)
        np.savez_compressed(path, spoilt=spoilt, scores=scores)
    with np.load(path) as held:
        return held["spoilt"], held["scores"]
