"""What a line does to the sound of a call: noise, echo, clipping, lost packets, other gains and formats. All of it is
seeded."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from analysis.audio import Encoding, decode
from benchmarks.definitions import Spurt, runs

Sound = NDArray[np.float64]
"""One channel, full scale ±1, so that 20·log10(rms) is in dBov."""

PACKET_MS = 20
ROOM_DBOV = -68.0
_COMFORT_DBOV = -62.0
_QUIETEST_DBOV = -120.0


def power_of(level_dbov: float) -> float:
    """Mean square of a level."""
    return float(10 ** (level_dbov / 10))


def gain(db: float) -> float:
    """A gain in dB as a factor."""
    return float(10 ** (db / 20))


def level_dbov(sound: Sound) -> float:
    """Level of a sound, not below -120."""
    return float(10 * np.log10(max(np.mean(sound**2) if len(sound) else 0.0, power_of(_QUIETEST_DBOV))))


def room_tone(samples: int, rate_hz: int, random: np.random.Generator) -> Sound:
    """The soft noise of a quiet room: a line never is digital silence."""
    noise: Sound = sosfilt(butter(1, 1500, fs=rate_hz, output="sos"), random.standard_normal(samples))
    return noise * gain(ROOM_DBOV - level_dbov(noise))


@dataclass(frozen=True, slots=True)
class Echo:
    """The other party's sound comes back on `channel`, `delay_ms` later and `erl_db` weaker."""

    channel: int
    delay_ms: int
    erl_db: float

    def add(self, sound: list[Sound], rate_hz: int, random: np.random.Generator) -> None:
        """Let it sound: through a path of 8 ms that colours it."""
        path = random.standard_normal(rate_hz // 125) * np.exp(-np.arange(rate_hz // 125) / (rate_hz / 500))
        path[0] += 3.0
        far = sound[1 - self.channel]
        near = np.convolve(far, path)[: len(far)]
        near *= gain(level_dbov(far) - level_dbov(near) - self.erl_db)
        delay = self.delay_ms * rate_hz // 1000
        sound[self.channel][delay:] += near[: len(near) - delay]


class Fill(StrEnum):
    """What a receiver plays in place of a lost packet."""

    ZERO = "zero"
    REPEAT = "repeat"
    COMFORT = "comfort noise"


@dataclass(frozen=True, slots=True)
class Loss:
    """Packets of 20 ms lost by Gilbert's model: `share` of all, in bursts of `burst` packets on average."""

    share: float
    burst: float
    fill: Fill

    def lose(self, packets: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """Which packets are lost."""
        leave = 1.0 / self.burst
        enter = self.share * leave / (1.0 - self.share)
        lost = np.zeros(packets, dtype=np.bool_)
        for number, chance in enumerate(random.random(packets)):
            lost[number] = chance >= leave if number and lost[number - 1] else chance < enter
        return lost

    def apply(self, sound: Sound, rate_hz: int, random: np.random.Generator) -> list[Spurt]:
        """Fill the lost packets of a channel; where they were, ms."""
        size = rate_hz * PACKET_MS // 1000
        packets = sound[: len(sound) // size * size].reshape(-1, size)
        lost = self.lose(len(packets), random)
        lost[0] = False
        for number in np.flatnonzero(lost):
            packets[number] = self._filled(packets[number - 1], random)
        return runs(lost, PACKET_MS)

    def _filled(self, before: Sound, random: np.random.Generator) -> Sound:
        match self.fill:
            case Fill.ZERO:
                return np.zeros_like(before)
            case Fill.REPEAT:
                return before.copy()
            case Fill.COMFORT:
                return random.standard_normal(len(before)) * gain(_COMFORT_DBOV)


@dataclass(frozen=True, slots=True)
class Step:
    """From `at_s` on `channel` is `db` louder than before."""

    channel: int
    at_s: float
    db: float

    def apply(self, sound: list[Sound], rate_hz: int) -> None:
        """Change the gain."""
        sound[self.channel][round(self.at_s * rate_hz) :] *= gain(self.db)


@dataclass(frozen=True, slots=True)
class Misreading:
    """The 16-bit samples of `channel` are taken for G.711 codes, or for samples of the other byte order (`encoding`
    linear16)."""

    channel: int
    encoding: Encoding

    def apply(self, samples: NDArray[np.int16]) -> None:
        """Read them so: codes are twice as many as samples, of which half are kept."""
        written = np.ascontiguousarray(samples[:, self.channel])
        if self.encoding is Encoding.LINEAR16:
            samples[:, self.channel] = written.byteswap()
        else:
            samples[:, self.channel] = decode(written.tobytes(), self.encoding)[: len(written)]


def clip(sound: Sound, by_db: float) -> Sound:
    """Overdriven: the highest peaks are `by_db` beyond full scale."""
    return np.clip(sound * gain(by_db) / np.abs(sound).max(), -1.0, 1.0)


def to_int16(sound: list[Sound]) -> NDArray[np.int16]:
    """Channels side by side as samples, (n, channels)."""
    return np.clip(np.rint(np.stack(sound, axis=1) * 32768.0), -32768, 32767).astype(np.int16)
