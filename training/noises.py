"""What is heard on a line beside speech, made from random numbers, voices and music; some kinds are kept for tests."""

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from training.material import Clip, Part, music, voices

RATE_HZ = 8000

Noise = Callable[[int, np.random.Generator], Clip]
"""Makes samples at 8 kHz, of any level: (length, random numbers)."""

_ROWS_HZ, _COLUMNS_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_SIGNALS = (  # tones in Hz, on and off in s: ringback, busy, dial tone and fax of several countries
    ((440, 480), 2.0, 4.0),
    ((425,), 1.0, 4.0),
    ((400, 450), 0.4, 0.2),
    ((480, 620), 0.5, 0.5),
    ((425,), 0.25, 0.25),
    ((350, 440), 60.0, 0.0),
    ((425,), 60.0, 0.0),
    ((1100,), 0.5, 3.0),
    ((2100,), 3.0, 1.0),
)


def noises(part: Part) -> dict[str, Noise]:
    """The noises of one part by name; babble and music take that part's voices and pieces."""
    pieces, talkers = music(part), [np.concatenate(voice.clips()[:40]) for voice in voices(part)]
    shared: dict[str, Noise] = {
        "white": lambda n, rng: rng.standard_normal(n),
        "babble": lambda n, rng: _babble(talkers, n, rng),
        "music": lambda n, rng: _excerpt(pieces[rng.integers(len(pieces))], n, rng),
        "office": lambda n, rng: _sum(_keys(n, rng), _babble(talkers, n, rng), _fan(n, rng)),
    }
    train: dict[str, Noise] = {
        "coloured": _coloured,
        "fan": _fan,
        "hum": _hum,
        "keys": _keys,
        "street": _street,
        "wind": _wind,
        "breath": _breath,
        "motor": _motor,
        "crowd": lambda n, rng: _crowd(talkers, n, rng),
    }
    test: dict[str, Noise] = {"pink": _pink, "engine": _engine, "rain": _rain, "traffic": _traffic}
    return shared | (train if part == "train" else test)


def signals(n: int, rng: np.random.Generator) -> Clip:
    """A telephone's own tones: dialled digits, or ringback, busy, dial tone, fax."""
    if rng.random() < 0.4:
        on_s = rng.uniform(0.06, 0.25)
        keys = [(rng.choice(_ROWS_HZ), rng.choice(_COLUMNS_HZ)) for _ in range(int(n / (on_s + 0.08) / RATE_HZ) + 1)]
        return np.resize(np.concatenate([_tone(key, on_s, 0.08) for key in keys]), n)
    return np.resize(_tone(*_SIGNALS[rng.integers(len(_SIGNALS))]), n)


def _tone(frequencies_hz: tuple[int, ...], on_s: float, off_s: float) -> Clip:
    time_s = np.arange(int(on_s * RATE_HZ)) / RATE_HZ
    sound = np.sum([np.sin(2 * np.pi * hz * time_s) for hz in frequencies_hz], axis=0)
    return np.concatenate([sound, np.zeros(int(off_s * RATE_HZ))])


def _sum(*sounds: Clip) -> Clip:
    return np.sum([sound / (np.sqrt(np.mean(np.square(sound))) + 1e-9) for sound in sounds], axis=0)


def _excerpt(sound: Clip, n: int, rng: np.random.Generator) -> Clip:
    return np.roll(np.resize(sound, max(n, len(sound))), -rng.integers(len(sound)))[:n]


def _babble(talkers: list[Clip], n: int, rng: np.random.Generator) -> Clip:
    return _sum(*(_excerpt(talkers[rng.integers(len(talkers))], n, rng) for _ in range(rng.integers(4, 13))))


def _crowd(talkers: list[Clip], n: int, rng: np.random.Generator) -> Clip:
    """Two to eight voices, some nearer than others."""
    near = 10 ** (rng.normal(0, 5, rng.integers(2, 9)) / 20)
    return np.sum([gain * _sum(_excerpt(talkers[rng.integers(len(talkers))], n, rng)) for gain in near], axis=0)


def _slow(n: int, rng: np.random.Generator, hz: float) -> Clip:
    """A random curve of unit variance that changes about `hz` times a second."""
    points = rng.standard_normal(int(n / RATE_HZ * hz) + 3)
    return np.interp(np.arange(n) * hz / RATE_HZ, np.arange(len(points)), points)


def _swinging(sound: Clip, rng: np.random.Generator, db: float, hz: float) -> Clip:
    return sound * 10 ** (db * _slow(len(sound), rng, hz) / 20)


def _coloured(n: int, rng: np.random.Generator) -> Clip:
    """White noise through a random pole pair and a tilt, steady or swinging."""
    radius, angle = rng.uniform(0.3, 0.97), rng.uniform(0.02, 0.9) * np.pi
    sound = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], rng.standard_normal(n))
    sound = lfilter([1], [1, -rng.uniform(-0.5, 0.95)], sound)
    return _swinging(sound, rng, rng.choice([0.0, 4.0, 8.0]), rng.uniform(0.3, 5.0))


def _fan(n: int, rng: np.random.Generator) -> Clip:
    blade = np.sin(2 * np.pi * rng.uniform(40, 300) * np.arange(n) / RATE_HZ + _slow(n, rng, 2.0))
    return _sum(lfilter([1], [1, -0.9], rng.standard_normal(n)), rng.uniform(0.05, 1.0) * blade + 1e-6)


def _hum(n: int, rng: np.random.Generator) -> Clip:
    base_hz, time_s = rng.choice([50.0, 60.0, 100.0, 120.0, 217.0]), np.arange(n) / RATE_HZ
    strengths = rng.random(12) / np.arange(1, 13) ** rng.uniform(0, 1.5)
    hum = np.sum([a * np.sin(2 * np.pi * base_hz * k * time_s) for k, a in enumerate(strengths, 1)], axis=0)
    return hum + 0.05 * rng.standard_normal(n)


def _motor(n: int, rng: np.random.Generator) -> Clip:
    """A vacuum cleaner or drill: a buzz whose pitch drifts, or runs up and down, in its own hiss."""
    drift = rng.choice([0.01, 0.05, 0.2]) * _slow(n, rng, rng.uniform(0.1, 1.0))
    phase = 2 * np.pi * np.cumsum(rng.uniform(60, 250) * (1 + drift)) / RATE_HZ
    strengths = rng.random(10) / np.arange(1, 11) ** rng.uniform(0, 1.5)
    buzz = np.sum([a * np.sin(k * phase) for k, a in enumerate(strengths, 1)], axis=0)
    return _sum(buzz, rng.uniform(0.3, 2.0) * lfilter([1], [1, -rng.uniform(0, 0.95)], rng.standard_normal(n)))


def _keys(n: int, rng: np.random.Generator) -> Clip:
    """Knocks and clicks: bursts of ringing noise, a few a second."""
    sound = 0.01 * rng.standard_normal(n)
    for start in rng.integers(0, n, int(n / RATE_HZ * rng.uniform(1, 8))):
        length = min(n - start, int(rng.uniform(0.005, 0.08) * RATE_HZ))
        decay = np.exp(-np.arange(length) / length * 5)
        ring = np.sin(2 * np.pi * rng.uniform(300, 3500) * np.arange(length) / RATE_HZ)
        sound[start : start + length] += rng.uniform(0.2, 1) * decay * (ring + rng.standard_normal(length))
    return sound


def _street(n: int, rng: np.random.Generator) -> Clip:
    """Rumble and hiss, each swinging by itself, and a horn now and then."""
    rumble = lfilter([1], [1, -0.97], rng.standard_normal(n))
    sound = _sum(_swinging(rumble, rng, 7, 0.7), 0.5 * _swinging(rng.standard_normal(n), rng, 7, 1.5))
    if rng.random() < 0.5:
        horn = _tone((int(rng.uniform(300, 500)), int(rng.uniform(500, 700))), rng.uniform(0.2, 1.0), 0.0)[:n]
        start = rng.integers(n - len(horn) + 1)
        sound[start : start + len(horn)] += rng.uniform(0.5, 3) * horn
    return sound


def _wind(n: int, rng: np.random.Generator) -> Clip:
    return _swinging(lfilter([1], [1, -0.98], rng.standard_normal(n)), rng, 9, rng.uniform(1, 8))


def _breath(n: int, rng: np.random.Generator) -> Clip:
    """Breathing into a headset: bursts of noise of half a second to a second, every few seconds."""
    low_hz = rng.uniform(200, 900)
    noise = sosfilt(butter(2, (low_hz, low_hz * 3), "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal(n))
    period_s = rng.uniform(1.5, 4)
    swell = np.maximum(0, np.sin(2 * np.pi * (np.arange(n) / RATE_HZ / period_s + rng.random()))) ** 2
    return noise * (swell + 0.003)


def _pink(n: int, rng: np.random.Generator) -> Clip:
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(np.arange(1, n // 2 + 2))
    return np.fft.irfft(spectrum, n)


def _engine(n: int, rng: np.random.Generator) -> Clip:
    """The inside of a car: harmonics of a drifting engine in rolling noise."""
    phase = 2 * np.pi * np.cumsum(rng.uniform(25, 60) * (1 + 0.2 * _slow(n, rng, 0.3))) / RATE_HZ
    harmonics = np.sum([np.sin(k * phase) / k for k in range(1, 9)], axis=0)
    return _sum(harmonics, lfilter([1], [1, -0.95], rng.standard_normal(n)))


def _rain(n: int, rng: np.random.Generator) -> Clip:
    """Drops: many short clicks on a faint hiss."""
    drops = rng.standard_normal(n) * (rng.random(n) < 0.01) * rng.exponential(1.0, n)
    return lfilter([1, -0.5], [1, -0.6], drops) + 0.02 * rng.standard_normal(n)


def _traffic(n: int, rng: np.random.Generator) -> Clip:
    """Cars that pass: noise whose level rises and falls by 20 dB, its colour with it."""
    near = np.clip(_slow(n, rng, 0.4), -2, 2)
    dull, bright = lfilter([1], [1, -0.95], rng.standard_normal(n)) * 0.3, rng.standard_normal(n)
    return (dull + bright * 10 ** (near / 4)) * 10 ** (near / 2)
