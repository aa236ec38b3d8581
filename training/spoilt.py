"""Telephone speech that is spoilt in ways that are known, and how good it sounds beside the clean original by PESQ."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from analysis.audio import Encoding, decode
from analysis.quality import NetworkSample
from training.lines import FRAME, Exchange, at, int16, reverberant
from training.material import Clip, Part, Voice, active_level_dbov
from training.noises import RATE_HZ

LEAD_S, SCORED_S = 2, 8
"""What a line begins with, for the engine to know the channel, and what of it is scored."""

LENGTH = (LEAD_S + SCORED_S) * RATE_HZ

LEAST_SPEECH_S = 2.0
"""PESQ says nothing of less speech than this in what is scored."""

TOOLS = ("sox", "opusenc", "opusdec", "speexenc", "speexdec", "c2enc", "c2dec")
"""The programs of the codecs."""

Filter = Callable[[Clip], Clip]

_SOS: dict[str, Any] = {"fs": RATE_HZ, "output": "sos"}
_HOPS_PER_S = 100
_LOUDEST_DBOV = -12.0
_COMFORT_DB = -40.0
_CODECS: tuple[tuple[str, float, tuple[str, ...]], ...] = (  # name in statistics, share, rates
    ("", 0.08, ("",)),
    ("PCMU", 0.28, ("",)),
    ("PCMA", 0.22, ("",)),
    ("GSM", 0.10, ("",)),
    ("AMR", 0.12, ("0", "2", "4", "7")),  # 4.75, 5.9, 7.4, 12.2 kbit/s
    ("opus", 0.08, ("8", "12", "20")),
    ("speex", 0.06, ("4", "6", "8")),
    ("G726-32", 0.04, ("",)),  # ADPCM of 4 bits
    ("codec2", 0.02, ("3200",)),
)
_G711 = {
    name: np.sort(decode(bytes(range(256)), law).astype(np.float64))
    for name, law in (("PCMU", Encoding.MULAW), ("PCMA", Encoding.ALAW))
}
_ABROAD: dict[Part, str] = {
    "train": (
        "af+m2 an+f3 as+m5 az+f1 ba+m1 be+f4 bg+m3 bn+f2 bs+m6 cv+f5 cy+m4 eo+f3 et+m7 eu+f2 ga+m8 gd+f1 gu+m2 he+f4 "
        "hy+m1 ia+f5 is+m3 ka+f2 kk+m5 kn+f1 ku+m4 ky+f3 la+m6 lv+f4 mi+m7 mk+f5 ml+m1 mr+f2 ms+m8 mt+f3 ne+m2 om+f1 "
        "pa+m3 sd+f4 sk+m4 sl+f2 sr+m5 ta+f3 te+m6 tt+f5 ur+m7 uz+f1 de+Gene en-029+Lee es+Diogo fr-ch+Henrique"
    ),
    "test": (
        "gn+m1 ht+f1 hak+m2 io+f2 jbo+m3 kl+f3 kok+m4 lb+f4 lfn+m5 lt+f5 ltg+m6 my+Marco nog+m7 or+m8 pap+Denis "
        "qu+Michael shn+f1 si+m1 sq+f2 th+m2 tk+f3 tn+m3 ug+f4 yue+m4 py+f5 smj+m5"
    ),
}
_TEXT = (
    "Hello, this is the service desk, what can I do for you?",
    "My name is Robinson, and I am calling because the parcel has not arrived.",
    "Which number is written at the top of the letter?",
    "Six, one, double eight, five, three.",
    "Thank you. I shall look it up, it takes a minute.",
    "No.",
    "Then please send it once more, to the same address as before.",
    "Wir haben das Paket am Dienstag verschickt, es sollte morgen ankommen.",
    "Merci beaucoup, je vous souhaite une bonne journee.",
    "Gracias por llamar, hasta luego.",
)


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Samples (int16, at 8 kHz), of which the last SCORED_S are scored; PESQ's score (P.862.1, 1..4.55); what the
    network tells of it; and what was done, for tables."""

    samples: NDArray[np.int16]
    score: float
    network: NetworkSample
    done: tuple[str, ...]


class Abroad(Exchange):
    """An exchange of countries more: synthetic voices of many languages, as many test ones that speak none of these."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self._clips = [voice.clips() for voice in foreign(part)]
        self._shares = np.full(len(self._clips), 1 / len(self._clips))


def foreign(part: Part) -> list[Voice]:
    """Voices in languages that `training.material` has none of."""
    return [
        Voice(f"espeak-{name}", "espeak-ng", False, tuple(("espeak-ng", "-v", name, text, "-w") for text in _TEXT))
        for name in _ABROAD[part].split()
    ]


def spoilt(exchange: Exchange, seed: int, gently: bool = False) -> Spoilt:
    """A line of the exchange, with any noise, level, telephone, clipping, codec and loss, or with none of them; if
    `gently`, with a level, a telephone and a codec alone."""
    from pesq import pesq  # an optional peer

    rng = np.random.default_rng(seed)
    done: list[str] = []
    send = _telephone(rng)
    spoken = send(_varied(_speech(exchange, rng), rng)).astype(np.float32)
    clean = spoken * 10 ** (-active_level_dbov(spoken, RATE_HZ) / 20) + _room(len(spoken), rng)
    sound = clean if gently else _dull(_noisy(clean, exchange, send, rng, done), rng, done)
    sound = _overdriven(sound, 0.0 if gently else 0.2, rng, done)
    samples, codec = _coded(int16(sound), rng, done)
    samples, network = _lossy(samples, codec, 0.0 if gently else 0.35, rng, done)
    scored = slice(LEAD_S * RATE_HZ, None)
    score = pesq(RATE_HZ, int16(clean * 10 ** (-26 / 20))[scored], samples[scored], "nb")
    return Spoilt(samples, float(score), network, tuple(done))


def _speech(exchange: Exchange, rng: np.random.Generator) -> Clip:
    """Somebody who speaks enough in what is scored, at an active level of 0 dB."""
    while True:
        clean, loud = exchange.talk(LENGTH, rng)
        if np.count_nonzero(loud[LEAD_S * _HOPS_PER_S :]) >= LEAST_SPEECH_S * _HOPS_PER_S:
            return clean


def _varied(sound: Clip, rng: np.random.Generator) -> Clip:
    """As another speaker, in another room, at another desk: faster or slower by up to a sixth, with a voice as much
    higher or lower; one time in four each, reverberant, and with its peaks rounded off."""
    pace = rng.uniform(0.85, 1.17)
    sound = np.interp(np.arange(0, len(sound) - 1, pace), np.arange(len(sound)), sound)
    sound = np.resize(sound, LENGTH)
    if rng.random() < 0.25:
        sound = reverberant(sound, rng, 0.7)
    if rng.random() < 0.25:
        knee = rng.uniform(1.5, 4)
        sound = knee * np.tanh(sound / knee)
    return sound


def _telephone(rng: np.random.Generator) -> Filter:
    """How a telephone sends: as it hears, one time in three, else in its band and with a timbre of its own."""
    if rng.random() < 1 / 3:
        return lambda sound: sound
    band = butter(3, (rng.choice([150.0, 250.0, 300.0]), rng.choice([3400.0, 3600.0, 3800.0])), "bandpass", **_SOS)
    tilt = rng.uniform(-0.7, 0.2)
    return lambda sound: sosfilt(band, sound + tilt * np.concatenate([[0.0], sound[:-1]]))


def _room(n: int, rng: np.random.Generator) -> Clip:
    """The soft noise of a quiet room."""
    below_db = rng.uniform(32, 50) if rng.random() < 0.2 else rng.uniform(50, 65)
    return at(sosfilt(butter(1, 1500, **_SOS), rng.standard_normal(n)), -below_db)


def _noisy(clean: Clip, exchange: Exchange, send: Filter, rng: np.random.Generator, done: list[str]) -> Clip:
    """With a noise at 0 to 40 dB below the voice, one time in two."""
    if rng.random() >= 0.5:
        return clean
    kind, snr_db = str(rng.choice(list(exchange.noises))), rng.uniform(0, 40)
    done += [kind, f"{snr_db:.0f} dB"]
    return clean + at(send(exchange.noises[kind](len(clean), rng)), -snr_db)


def _dull(sound: Clip, rng: np.random.Generator, done: list[str]) -> Clip:
    """One time in twelve without what is above 2 to 3 kHz."""
    if rng.random() >= 1 / 12:
        return sound
    high_hz = rng.uniform(2000, 3000)
    done.append(f"below {high_hz:.0f} Hz")
    return sosfilt(butter(6, high_hz, **_SOS), sound)


def _overdriven(sound: Clip, share: float, rng: np.random.Generator, done: list[str]) -> Clip:
    """At -40 to -12 dBov; in a share of lines with peaks cut off, 2 to 20 dB below the highest."""
    if rng.random() < share:
        cut_db = rng.uniform(2, 20)
        highest = np.abs(sound).max() * 10 ** (-cut_db / 20)
        sound = np.clip(sound, -highest, highest)
        done.append(f"clipped {cut_db:.0f} dB")
    level_dbov = active_level_dbov(sound.astype(np.float32), RATE_HZ)
    return sound * 10 ** ((rng.uniform(-40, _LOUDEST_DBOV) - level_dbov) / 20)


def _coded(samples: NDArray[np.int16], rng: np.random.Generator, done: list[str]) -> tuple[NDArray[np.int16], str]:
    """Through a codec; its name in statistics."""
    shares = np.array([share for _, share, _ in _CODECS])
    codec, _, rates = _CODECS[rng.choice(len(_CODECS), p=shares / shares.sum())]
    rate = str(rng.choice(rates))
    done.append(codec + rate)
    if codec in _G711:
        return _companded(samples, _G711[codec]), codec
    return (_through(codec, rate, samples) if codec else samples), codec


def _companded(samples: NDArray[np.int16], levels: NDArray[np.float64]) -> NDArray[np.int16]:
    """As the nearest of these levels."""
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, samples)
    return levels[np.clip(nearest, 0, len(levels) - 1)].astype(np.int16)


def _through(codec: str, rate: str, samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Coded and decoded by the codec's own tools."""
    with TemporaryDirectory() as folder:
        given, coded, done = (str(Path(folder) / name) for name in ("given.wav", "coded", "done.raw"))
        raw = ["-t", "raw", "-r", str(RATE_HZ), "-e", "signed", "-b", "16", "-c", "1"]
        subprocess.run(["sox", *raw, "-", given], input=samples.tobytes(), check=True, capture_output=True)
        for command in _commands(codec, rate, given, coded, done, raw):
            subprocess.run(command, check=True, capture_output=True)
        back = np.fromfile(done, dtype="<i2")
    return np.pad(back, (0, max(0, len(samples) - len(back))))[: len(samples)].astype(np.int16)


def _commands(codec: str, rate: str, given: str, coded: str, done: str, raw: list[str]) -> list[list[str]]:
    match codec:
        case "opus":
            return [
                ["opusenc", "--quiet", "--speech", "--bitrate", rate, given, coded],
                ["opusdec", "--quiet", "--rate", str(RATE_HZ), "--no-dither", coded, done],
            ]
        case "speex":
            return [["speexenc", "--quality", rate, given, coded], ["speexdec", coded, done]]
        case "codec2":
            plain = [["sox", given, *raw, given + ".raw"]]
            return [*plain, ["c2enc", rate, given + ".raw", coded], ["c2dec", rate, coded, done]]
        case "G726-32":
            return [
                ["sox", given, "-t", "wav", "-e", "ima-adpcm", coded],
                ["sox", "-t", "wav", coded, *raw, done],
            ]
        case _:
            kind, how = ("amr-nb", ["-C", rate]) if codec == "AMR" else ("gsm", [])
            return [["sox", given, "-t", kind, *how, coded], ["sox", "-t", kind, coded, *raw, done]]


def _lossy(
    samples: NDArray[np.int16], codec: str, share: float, rng: np.random.Generator, done: list[str]
) -> tuple[NDArray[np.int16], NetworkSample]:
    """In a share of lines with 0.3 to 15 % of the packets lost, in bursts of 1 to 4 on average."""
    if rng.random() >= share:
        return samples, NetworkSample(codec=codec, loss_pct=0.0)
    offset = int(rng.integers(FRAME))
    packets = samples[offset : len(samples) // FRAME * FRAME - FRAME + offset].reshape(-1, FRAME).copy()
    lost_share, burst = np.exp(rng.uniform(np.log(0.003), np.log(0.15))), rng.choice([1.0, 1.0, 2.0, 4.0])
    lost = _lost(len(packets), lost_share, burst, rng)
    fill = str(rng.choice(["zero", "repeat", "fade", "comfort"]))
    for number in np.flatnonzero(lost):
        packets[number] = _filled(packets[number - 1], fill, rng)
    done += [f"{100 * lost_share:.1f} %", fill]
    filled = samples.copy()
    filled[offset : offset + packets.size] = packets.reshape(-1)
    counted = lost[LEAD_S * RATE_HZ // FRAME :]
    bursts = np.count_nonzero(np.diff(counted.astype(int), prepend=0) == 1)
    loss = counted.mean()
    burst_r = max(1.0, np.count_nonzero(counted) / bursts * (1 - loss)) if bursts else 1.0
    told = codec if fill != "zero" or codec not in ("PCMU", "PCMA", "") else "g711-noplc"
    return filled, NetworkSample(codec=told, loss_pct=100 * float(loss), burst_r=float(burst_r))


def _lost(packets: int, share: float, burst: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which packets are lost, by Gilbert's model: never the first."""
    lost = np.zeros(packets, dtype=np.bool_)
    enter, leave = share / burst / (1 - share), 1 / burst
    for number in range(1, packets):
        lost[number] = rng.random() < (1 - leave if lost[number - 1] else enter)
    return lost


def _filled(before: NDArray[np.int16], fill: str, rng: np.random.Generator) -> NDArray[np.int16]:
    """What is played in place of a packet, after the one `before`."""
    match fill:
        case "zero":
            return np.zeros_like(before)
        case "repeat":
            return before
        case "fade":
            return np.rint(before * 0.6).astype(np.int16)
        case _:
            level = max(4.0, float(np.sqrt(np.mean(np.square(before.astype(np.float64))))) * 10 ** (_COMFORT_DB / 20))
            return np.rint(rng.standard_normal(len(before)) * level).astype(np.int16)
