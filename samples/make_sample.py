"""Makes the sample call: renders a scripted conversation with espeak-ng, and labels what happens in it.

Run it from anywhere with `python samples/make_sample.py`; it writes `call.wav` and `call.labels.json` beside
itself. The same espeak-ng release gives the same files, byte for byte.
"""

import io
import json
import shutil
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt, sosfiltfilt

Samples = NDArray[np.float64]  # one channel, full scale ±1, so that 20·log10(rms) is in dBov
Active = NDArray[np.bool_]  # one value for every 10 ms
Spurt = tuple[int, int]  # [start, end) of a talkspurt, ms

SAMPLE_RATE_HZ = 8000
FRAME = SAMPLE_RATE_HZ // 100  # the 10 ms grid that lines start on and activity is judged on
CHANNELS = ("caller", "agent")
LEVEL_DBOV = -28.0
ROOM_TONE_DBOV = {"caller": -64.0, "agent": -66.0}
LEAD_IN_MS = 400
LEAD_OUT_MS = 800
SEED = 20240607
OVERLAP_STEPS_MS = (1000, 2500)
FLOOR_MS = 1000
PAUSE_STEPS_MS = (6000, 10000)
SPIKE_STEPS_DB = (10, 16)


@dataclass(frozen=True)
class Voice:
    """How espeak-ng is asked to speak."""

    name: str
    pitch: int
    words_per_minute: int


VOICES = {"caller": Voice("en-gb-x-rp+f3", 62, 168), "agent": Voice("en-us+m3", 32, 172)}


@dataclass(frozen=True)
class Line:
    """One thing said. `gap_ms` counts from the end of everything said before it; negative talks over that."""

    who: str
    text: str
    gap_ms: int
    gain_db: float = 0.0


SCRIPT = (
    Line("agent", "Fairview Internet, Daniel speaking.", 0),
    Line("caller", "Hello, my router has been dead since Monday and nobody has called me back.", 320),
    Line("agent", "Oh I am sorry to hear that. May I have your customer number please?", -750),
    Line("caller", "Yes, it is four seven one, two two nine.", 380),
    Line("agent", "Thank you. Let me look that up for you.", 420),
    Line(
        "agent",
        "Okay, I can see a fault on your line, and an engineer will be with you on Thursday morning.",
        4000,
    ),
    Line("caller", "All right.", -1700),
    Line(
        "caller",
        "But I work on Thursdays. I was promised somebody for today and I have stayed at home two days",
        450,
    ),
    Line("agent", "If you would just let me finish madam, I can look for another day.", -1400),
    Line("caller", "I am really angry now!", 350, gain_db=14.0),
    Line("caller", "I want the money back for this week.", 400),
    Line("agent", "I understand. I will refund the whole week.", 520),
    Line("agent", "And I will send a new router that you can simply plug in when it gets to you", 450),
    Line("caller", "So then do I still need the engineer to come?", -800),
    Line("agent", "No, not at all. The new one sets itself up, so there is nothing for you to do.", 360),
    Line("caller", "Lovely.", -1500),
    Line("caller", "Will it be here before the weekend?", 480),
    Line("agent", "It leaves us today, so you will have it tomorrow.", 300),
    Line("caller", "No, that is all. Thank you for your help.", 410),
    Line("agent", "You are welcome. Goodbye.", 350),
)


@dataclass(frozen=True)
class Clip:
    """A line as clean speech without the room, placed on the 10 ms grid of the call."""

    line: Line
    start: int
    samples: Samples
    active: Active

    @property
    def end(self) -> int:
        return self.start + len(self.active)


def speak(line: Line) -> Samples:
    """The line in its speaker's voice at 8 kHz, whole 10 ms frames, level not yet set."""
    voice = VOICES[line.who]
    command = f"espeak-ng --stdout -v {voice.name} -p {voice.pitch} -s {voice.words_per_minute}"
    spoken = subprocess.run([*command.split(), line.text], check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        rate_hz = file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    # A telephone carries nothing below 200 Hz, and the voices' rumble there would count as level.
    sound = sosfilt(butter(2, 200, "highpass", fs=rate_hz, output="sos"), raw)
    return whole_frames(resample_poly(sound, SAMPLE_RATE_HZ, rate_hz))


def whole_frames(sound: Samples) -> Samples:
    return np.pad(sound, (0, -len(sound) % FRAME))


def frame_power(sound: Samples) -> Samples:
    """Mean power of each 10 ms."""
    return np.asarray(np.mean(sound.reshape(-1, FRAME) ** 2, axis=1))


def active_level_dbov(sound: Samples) -> float:
    """Level without the pauses: the power of the frames less than 15.9 dB below it (after ITU-T P.56)."""
    power = frame_power(sound)
    level = power.mean()
    for _ in range(20):
        level = power[power > level * 10**-1.59].mean()
    return float(10 * np.log10(level))


def steady(sound: Samples, level_dbov: float) -> Samples:
    """The clip at an active level, its syllables evened out 2:1 so that only a meant shout stands out."""
    sound = sound / 10 ** (active_level_dbov(sound) / 20)
    smooth = np.exp(-1 / (0.02 * SAMPLE_RATE_HZ))
    envelope = np.sqrt(sosfiltfilt([[1 - smooth, 0, 0, 1, -smooth, 0]], sound**2))
    evened = sound / np.sqrt(np.maximum(envelope, 0.3))
    return np.asarray(evened * 10 ** ((level_dbov - active_level_dbov(evened)) / 20))


def perform(script: tuple[Line, ...]) -> list[Clip]:
    """Every line rendered and placed, in order."""
    clips: list[Clip] = []
    for line in script:
        sound = steady(speak(line), LEVEL_DBOV + line.gain_db)
        loud = frame_power(sound) > 10 ** ((active_level_dbov(sound) - 25) / 10)
        first, last = np.flatnonzero(loud)[[0, -1]]
        said = max((clip.end for clip in clips), default=LEAD_IN_MS // 10)
        trimmed = sound[first * FRAME : (last + 1) * FRAME]
        clips.append(Clip(line, said + line.gap_ms // 10, trimmed, loud[first : last + 1]))
    return clips


def clean_channel(clips: list[Clip], who: str, frames: int) -> tuple[Samples, Active]:
    """One party's speech without the room, and where it is active after bridging and dropping."""
    sound, active = np.zeros(frames * FRAME), np.zeros(frames, bool)
    for clip in (clip for clip in clips if clip.line.who == who):
        sound[clip.start * FRAME : clip.end * FRAME] += clip.samples
        active[clip.start : clip.end] |= clip.active
    for start, end in list(runs(~active)):
        if end - start <= 20 and start > 0:
            active[start:end] = True
    for start, end in list(runs(active)):
        if end - start < 8:
            active[start:end] = False
    return sound, active


def runs(flags: Active) -> Iterator[tuple[int, int]]:
    """[start, end) of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    yield from ((int(start), int(end)) for start, end in edges.reshape(-1, 2))


def room_tone(channel: str, length: int, random: np.random.Generator) -> Samples:
    """Soft noise, so that the quiet of the call is a room and not digital zeros."""
    noise = sosfilt(butter(1, 1500, fs=SAMPLE_RATE_HZ, output="sos"), random.standard_normal(length))
    return np.asarray(noise * 10 ** (ROOM_TONE_DBOV[channel] / 20) / np.sqrt(np.mean(noise**2)))


def severity_of(value: float, limits: tuple[float, ...], step_up: int = 0) -> str:
    """`low` below every limit, one step up for each limit reached and by `step_up`, at most `high`."""
    return ("low", "medium", "high")[min(sum(value >= limit for limit in limits) + step_up, 2)]


def event(what: str, channel: str, start: int, end: int, severity: str, **metadata: Any) -> dict[str, Any]:
    return {
        "type": what,
        "channel": channel,
        "timestamp": start,
        "duration": end - start,
        "severity": severity,
        "metadata": metadata,
    }


def overlaps(one: list[Spurt], other: list[Spurt]) -> Iterator[dict[str, Any]]:
    for a0, a1 in one:
        for b0, b1 in other:
            start, end = max(a0, b0), min(a1, b1)
            if end - start >= 200:
                yield event("overlap", "all", start, end, severity_of(end - start, OVERLAP_STEPS_MS))


def interrupts(spurts: dict[str, list[Spurt]], yields: str, by: str) -> Iterator[dict[str, Any]]:
    for a0, a1 in spurts[yields]:
        for b0, b1 in spurts[by]:
            if b0 - a0 > 100 and a1 - b0 > 300 and b1 > a1 + 300:
                severity = severity_of(a1 - b0, OVERLAP_STEPS_MS, step_up=int(by == "agent"))
                yield event("interrupt", yields, b0, a1, severity, by=by)


def speaker_changes(spurts: dict[str, list[Spurt]]) -> Iterator[dict[str, Any]]:
    """Where the floor, held by the last to talk alone for 1 s, changes hands."""
    alone = sorted(
        (from_ms, channel, start)
        for channel, other in (CHANNELS, CHANNELS[::-1])
        for start, end in spurts[channel]
        for from_ms, to_ms in alone_stretches(start, end, spurts[other])
        if to_ms - from_ms >= FLOOR_MS
    )
    for (_, holder, _), (from_ms, taker, start) in pairwise(alone):
        if taker != holder:
            yield event("speaker_change", taker, start, from_ms + FLOOR_MS, "info")


def alone_stretches(start: int, end: int, others: list[Spurt]) -> Iterator[Spurt]:
    """What of [start, end) the other party does not talk in."""
    for from_ms, to_ms in others:
        if from_ms < end and to_ms > start:
            yield start, from_ms
            start = to_ms
    yield start, end


def quiet_stretches(active: dict[str, Active]) -> Iterator[dict[str, Any]]:
    """Long pauses, and silences of kind `quiet`, from the first speech to the end of the call."""
    nobody = ~np.logical_or.reduce(list(active.values()))
    for start, end in runs(nobody):
        start_ms, end_ms = start * 10, end * 10
        if start == 0 or end_ms - start_ms < 3000:
            continue
        severity = severity_of(end_ms - start_ms, PAUSE_STEPS_MS)
        yield event("long_pause", "all", start_ms, end_ms, severity)
        if end_ms - start_ms >= 5000:
            yield event("silence", "all", start_ms, end_ms, "low", kind="quiet")


def volume_spikes(channel: str, sound: Samples, active: Active) -> Iterator[dict[str, Any]]:
    """Where 100 ms of speech stand 10 dB or more above the median of the 15 s of speech before them."""
    power_20ms = frame_power(sound).reshape(-1, 2).mean(axis=1)
    speech: Active = np.logical_and(active[::2], active[1::2])
    heard: list[float] = []
    gains_db: Samples = np.full(len(speech), -np.inf)  # of the window that ends with this 20 ms frame
    for frame in range(len(speech)):
        if len(heard) >= 75 and speech[frame]:
            reference = np.median(heard[-750:])
            gains_db[frame] = 10 * np.log10(power_20ms[max(frame - 4, 0) : frame + 1].mean() / reference)
        if speech[frame]:
            heard.append(power_20ms[frame])
    free_from = 0
    for start, end in runs(gains_db >= SPIKE_STEPS_DB[0]):
        if end - start >= 5 and start >= free_from:
            free_from = end + 100
            gain_db = float(gains_db[start:end].max())
            severity = severity_of(gain_db, SPIKE_STEPS_DB)
            from_ms, to_ms = (start - 4) * 20, end * 20
            yield event("volume_spike", channel, from_ms, to_ms, severity, gainDb=round(gain_db, 1))


def mulaw(sound: Samples) -> NDArray[np.uint8]:
    """Samples of ±1 as G.711 µ-law."""
    pcm = np.round(sound * 32768).astype(np.int32)
    magnitude = np.minimum(np.abs(pcm), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(pcm < 0, 0x80, 0)
    return np.asarray(~(sign | exponent << 4 | mantissa) & 0xFF, np.uint8)


def wav(interleaved: bytes) -> bytes:
    """The bytes of a µ-law WAV file (format tag 7; Python's `wave` writes PCM only)."""
    channels = len(CHANNELS)
    layout = struct.pack("<HHIIHHH", 7, channels, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * channels, channels, 8, 0)
    fact = struct.pack("<I", len(interleaved) // channels)
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body
        for name, body in ((b"fmt ", layout), (b"fact", fact), (b"data", interleaved))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def label(clean: dict[str, tuple[Samples, Active]]) -> dict[str, Any]:
    """Everything that is true of the call by the definitions of the events, in order of time."""
    active = {channel: clean[channel][1] for channel in CHANNELS}
    spurts = {channel: [(start * 10, end * 10) for start, end in runs(active[channel])] for channel in CHANNELS}
    found = [
        *overlaps(spurts["caller"], spurts["agent"]),
        *interrupts(spurts, "caller", "agent"),
        *interrupts(spurts, "agent", "caller"),
        *speaker_changes(spurts),
        *quiet_stretches(active),
        *(spike for channel in CHANNELS for spike in volume_spikes(channel, *clean[channel])),
    ]
    return {
        "file": "call.wav",
        "sampleRate": SAMPLE_RATE_HZ,
        "channels": list(CHANNELS),
        "durationMs": len(active["caller"]) * 10,
        "talkspurts": spurts,
        "events": sorted(found, key=itemgetter("timestamp", "type")),
    }


def main() -> None:
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed; on Debian and Ubuntu: apt install espeak-ng")
    folder = Path(__file__).parent
    clips = perform(SCRIPT)
    frames = max(clip.end for clip in clips) + LEAD_OUT_MS // 10
    frames += frames % 2  # whole 20 ms frames
    clean = {channel: clean_channel(clips, channel, frames) for channel in CHANNELS}
    random = np.random.default_rng(SEED)
    mixed = [clean[channel][0] + room_tone(channel, frames * FRAME, random) for channel in CHANNELS]
    sound = np.stack(mixed, axis=1)
    if np.abs(sound).max() >= 0.98:
        sys.exit(f"the call clips: its peak is {np.abs(sound).max():.2f} of full scale")
    (folder / "call.wav").write_bytes(wav(mulaw(sound).tobytes()))
    (folder / "call.labels.json").write_text(json.dumps(label(clean), indent=2) + "\n")


if __name__ == "__main__":
    main()
