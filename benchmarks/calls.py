"""Labelled calls: first a timeline in samples, then its sound, then what is true of it by the definitions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from benchmarks import definitions
from benchmarks.definitions import Label, Spurt
from benchmarks.impairments import (
    Echo,
    Loss,
    Misreading,
    Sound,
    Step,
    clip,
    gain,
    level_dbov,
    room_tone,
    to_int16,
)
from benchmarks.scoring import DOUBT_MS, Span
from training.material import Clip, active_level_dbov, speech_hops

Noise = Callable[[int, np.random.Generator], Sound]
"""Makes so many samples of noise, of any level."""

CHANNELS = ("caller", "agent")
HOPS_PER_S = 100
HOP_MS = 10
SPEECH_DBOV = -28.0
_BRIDGED_HOPS = 20
_SHORTEST_HOPS = 20
_SHORTEST_LINE_HOPS = 50
_FADE_MS = 5
_LOW_CUT_HZ = 100
_SILENT_DBOV = -80.0
_LEAD_S, _TAIL_S = 1.0, 1.0


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something said: its clean sound, whole hops of 10 ms, and in which of them it is active."""

    sound: Sound | Clip
    active: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.active)

    def cut(self, hops: int) -> "Phrase":
        """Its beginning, faded out."""
        if hops >= len(self):
            return self
        size = len(self.sound) // len(self)
        return Phrase(_faded(self.sound[: hops * size].copy(), size * HOPS_PER_S), self.active[:hops])


def phrase(clip: Clip, rate_hz: int) -> Phrase | None:
    """A recorded clip as a phrase at the usual level, its silent ends cut off; None if nothing is said in it.

    It is active where the energy of 10 ms exceeds its active level less 25 dB, gaps of up to 200 ms bridged.
    """
    hop = rate_hz // HOPS_PER_S
    low_cut = butter(2, _LOW_CUT_HZ, "highpass", fs=rate_hz, output="sos")  # some recordings have an offset
    clip = sosfilt(low_cut, clip)
    active, level = speech_hops(clip, rate_hz), active_level_dbov(clip, rate_hz)
    loud = np.flatnonzero(active)
    if level < _SILENT_DBOV or len(loud) < _SHORTEST_HOPS:
        return None
    first, last = int(loud[0]), int(loud[-1]) + 1
    sound = clip[first * hop : last * hop]
    return Phrase(_faded(sound * gain(SPEECH_DBOV - level), rate_hz).astype(np.float32), active[first:last])


def _faded(sound: Sound, rate_hz: int) -> Sound:
    """With soft edges: a cut wave is a click."""
    slope = np.linspace(0.0, 1.0, rate_hz * _FADE_MS // 1000)
    sound[: len(slope)] *= slope
    sound[-len(slope) :] *= slope[::-1]
    return sound


class Speaker:
    """A voice that can say something of any length, from the phrases that were recorded of it."""

    def __init__(self, clips: Sequence[Clip], rate_hz: int) -> None:
        found = [phrase(one, rate_hz) for one in clips]
        self.phrases = [one for one in found if one is not None]
        self._rate_hz = rate_hz
        if not self.phrases:
            raise ValueError("a speaker without a phrase: the clips hold no speech")

    @property
    def seconds(self) -> float:
        """How much was recorded."""
        return sum(map(len, self.phrases)) / HOPS_PER_S

    def say(self, seconds: float, random: np.random.Generator) -> Phrase:
        """Phrases one after another, with breaths between, until the time is full; the last is cut off."""
        wanted = round(seconds * HOPS_PER_S)
        parts: list[Phrase] = []
        while sum(map(len, parts)) < wanted:
            parts.append(self.phrases[int(random.integers(len(self.phrases)))])
            parts.append(_breath(int(random.integers(5, 40)), self._rate_hz))
        sound, active = (np.concatenate(columns) for columns in zip(*((p.sound, p.active) for p in parts), strict=True))
        return Phrase(sound, active).cut(wanted)


def _breath(hops: int, rate_hz: int) -> Phrase:
    return Phrase(np.zeros(hops * rate_hz // HOPS_PER_S), np.zeros(hops, dtype=np.bool_))


@dataclass(frozen=True, slots=True)
class Line:
    """A phrase in its place: `start` in hops of the call."""

    channel: int
    start: int
    phrase: Phrase
    gain_db: float = 0.0

    @property
    def end(self) -> int:
        """The hop after its last."""
        return self.start + len(self.phrase)


@dataclass(frozen=True, slots=True)
class Manner:
    """How two people talk: how likely it is, at the end of a line, that this comes next.

    Attributes:
        interruption: the other begins before the line is over and goes on.
        pause: nobody says anything for 3.2 to 12 s.
        again: the same party speaks on.
        backchannel: how likely a line of 4.5 s or more has the other's "yes" in it.
        spike: how likely a line is 13 to 20 dB louder than the others.
        line_s: shortest and longest line.
        gap_s: shortest and longest gap between lines.
    """

    interruption: float = 0.18
    pause: float = 0.1
    again: float = 0.15
    backchannel: float = 0.3
    spike: float = 0.1
    line_s: tuple[float, float] = (1.2, 8.0)
    gap_s: tuple[float, float] = (0.05, 1.2)


POLITE = Manner(interruption=0, pause=0, backchannel=0, spike=0, again=0.2)
"""Two people who never speak at once or long wait, so nothing is to be found."""

SLOW = Manner(interruption=0, pause=0.85, again=0.05, backchannel=0, spike=0, line_s=(1.2, 5.0))
"""Two people who hardly talk."""

IN_TURN = Manner(interruption=0, pause=0.05, again=0.1, backchannel=0, spike=0, line_s=(2.6, 7.0), gap_s=(0.3, 1.2))
"""For mono: every change of the speaker is at a pause, with 2 s or more on each side."""


def converse(
    speakers: Sequence[Speaker], seconds: float, random: np.random.Generator, manner: Manner | None = None
) -> list[Line]:
    """The timeline of a call of two speakers."""
    manner = manner or Manner()
    until = round((seconds - _TAIL_S) * HOPS_PER_S)
    spoken = [0, 0]
    lines: list[Line] = []
    who, at, least_s = int(random.integers(2)), round(_LEAD_S * HOPS_PER_S), 0.0
    while at < until - _SHORTEST_LINE_HOPS:
        said = speakers[who].say(max(random.uniform(*manner.line_s), least_s), random).cut(until - at)
        loud = spoken[who] > 5 * HOPS_PER_S and random.random() < manner.spike
        lines.append(Line(who, at, said, random.uniform(13, 20) if loud else 0.0))
        spoken[who] += len(said)
        if len(said) > 4.5 * HOPS_PER_S and random.random() < manner.backchannel:
            start = at + int(random.integers(80, len(said) - 340))  # over before the other could interrupt
            lines.append(Line(1 - who, start, speakers[1 - who].say(random.uniform(0.25, 0.7), random)))
        who, at, least_s = _next(lines[-1] if lines[-1].channel == who else lines[-2], manner, random)
    return lines


def _next(line: Line, manner: Manner, random: np.random.Generator) -> tuple[int, int, float]:
    """Who speaks next, from which hop, and for how many seconds at least."""
    chance = random.random()
    if chance < manner.interruption:
        together = min(round(random.uniform(0.5, 2.5) * HOPS_PER_S), len(line.phrase) - 30)
        return 1 - line.channel, line.end - together, together / HOPS_PER_S + 0.7
    chance -= manner.interruption
    if chance < manner.pause:
        return int(random.integers(2)), line.end + round(random.uniform(3.2, 12.0) * HOPS_PER_S), 0.0
    chance -= manner.pause
    who = line.channel if chance < manner.again else 1 - line.channel
    return who, line.end + round(random.uniform(*manner.gap_s) * HOPS_PER_S), 0.0


@dataclass(frozen=True, slots=True)
class Damage:
    """What the line does to the call; nothing by default.

    Attributes:
        noise, snr_db: what makes the noise on both channels, each its own, and how far below the speech it is.
        echo: the other party coming back on one channel.
        clipped_db: by how much the channels of `clipped` are overdriven.
        loss: packets lost on both channels.
        other: sounds in place of a channel's own: (channel, first hop, sound), such as music on hold.
        dead: digital silence on a channel: (channel, first hop, hop after the last).
        step: a gain that changes.
        misread: a channel in another format than it is taken for.
    """

    noise: Noise | None = None
    snr_db: float = 20.0
    echo: Echo | None = None
    clipped_db: float = 0.0
    clipped: tuple[int, ...] = ()
    loss: Loss | None = None
    other: tuple[tuple[int, int, Sound], ...] = ()
    dead: tuple[tuple[int, int, int], ...] = ()
    step: Step | None = None
    misread: Misreading | None = None


@dataclass(frozen=True)
class LabelledCall:
    """A call and what is true of it.

    Attributes:
        samples: int16 (n, channels), at `rate_hz`.
        channels: their names; a mono call has one, `mixed`.
        active: (channels, hops of 10 ms), where the clean speech is active.
        labels: events; what is wrong with its audio, `benchmarks.faults` knows.
        lost: where packets were lost, ms, by channel.
        damage: what the line did to it.
        raised_voices: some of it is said much louder.
    """

    samples: NDArray[np.int16]
    rate_hz: int
    channels: tuple[str, ...]
    active: NDArray[np.bool_]
    labels: list[Span]
    lost: list[list[Spurt]] = field(default_factory=list)
    damage: Damage = field(default_factory=Damage)
    raised_voices: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.active.shape[1] / HOPS_PER_S

    @property
    def speech(self) -> NDArray[np.bool_]:
        """(channels, frames of 20 ms): a frame is speech if at least half of it is active."""
        hops = self.active.shape[1] // 2 * 2
        return self.active[:, :hops].reshape(len(self.active), -1, 2).any(axis=2)


def render(
    lines: Sequence[Line],
    seconds: float,
    rate_hz: int,
    random: np.random.Generator,
    damage: Damage | None = None,
) -> LabelledCall:
    """The call of a timeline, with its labels."""
    damage = damage or Damage()
    clean, active = _clean(lines, round(seconds * HOPS_PER_S), rate_hz)
    sound = [one + room_tone(len(one), rate_hz, random) for one in clean]
    lost = _damage(sound, damage, rate_hz, random)
    labels = _events(clean, active, rate_hz, damage)
    samples = to_int16(sound)
    if damage.misread:
        damage.misread.apply(samples)
    return LabelledCall(samples, rate_hz, CHANNELS, active, labels, lost, damage, _raised(lines))


def mixed(lines: Sequence[Line], seconds: float, rate_hz: int, random: np.random.Generator) -> LabelledCall:
    """The same as one channel. Its speaker changes are those with 2 s of each voice; see `Manner` for mono."""
    clean, active = _clean(lines, round(seconds * HOPS_PER_S), rate_hz)
    sound = sum(clean) + room_tone(len(clean[0]), rate_hz, random)
    either = active.any(axis=0, keepdims=True)
    spurts = definitions.talkspurts(either[0], HOP_MS)
    end = len(either[0]) * HOP_MS
    labels = [
        *_spans("long_pause", "mixed", definitions.long_pauses(spurts, end, doubt_ms=DOUBT_MS)),
        *_spans("silence/quiet", "mixed", definitions.quiet_silences(spurts, end, doubt_ms=DOUBT_MS)),
        *_spans("speaker_change", "mixed", _changes(lines)),
        *_spans("volume_spike", "mixed", _spikes(sum(clean), either[0], rate_hz)),
    ]
    return LabelledCall(to_int16([sound]), rate_hz, ("mixed",), either, labels, raised_voices=_raised(lines))


def _raised(lines: Sequence[Line]) -> bool:
    return any(line.gain_db for line in lines)


def _clean(lines: Sequence[Line], hops: int, rate_hz: int) -> tuple[list[Sound], NDArray[np.bool_]]:
    """Each party's speech without the room, and where it is active, (2, hops)."""
    size = rate_hz // HOPS_PER_S
    clean = [np.zeros(hops * size) for _ in CHANNELS]
    active = np.zeros((len(CHANNELS), hops), dtype=np.bool_)
    for line in lines:
        clean[line.channel][line.start * size : line.end * size] += line.phrase.sound * gain(line.gain_db)
        active[line.channel, line.start : line.end] |= line.phrase.active
    for channel in active:
        for start, end in definitions.merged(definitions.runs(channel, 1), _BRIDGED_HOPS):
            channel[start:end] = True
    return clean, active


def _damage(sound: list[Sound], damage: Damage, rate_hz: int, random: np.random.Generator) -> list[list[Spurt]]:
    """Do to the channels what the line does, in the order of the path; where packets were lost, ms."""
    hop = rate_hz // HOPS_PER_S
    if damage.step:
        damage.step.apply(sound, rate_hz)
    for channel, start, other in damage.other:
        sound[channel][start * hop : start * hop + len(other)] = other
    if damage.noise:
        for one in sound:
            noise = damage.noise(len(one), random)
            one += noise * gain(SPEECH_DBOV - damage.snr_db - level_dbov(noise))
    if damage.echo:
        damage.echo.add(sound, rate_hz, random)
    for channel in damage.clipped:
        sound[channel] = clip(sound[channel], damage.clipped_db)
    lost = [damage.loss.apply(one, rate_hz, random) for one in sound] if damage.loss else []
    for channel, start, end in damage.dead:
        sound[channel][start * hop : end * hop] = 0.0
    return lost


def _events(clean: list[Sound], active: NDArray[np.bool_], rate_hz: int, damage: Damage) -> list[Span]:
    a, b = (definitions.talkspurts(channel, HOP_MS) for channel in active)
    end = active.shape[1] * HOP_MS
    hop = rate_hz // HOPS_PER_S
    hold = [(start * HOP_MS, start * HOP_MS + len(other) // hop * HOP_MS) for _, start, other in damage.other]
    dead = [(start * HOP_MS, until * HOP_MS) for _, start, until in damage.dead]
    one_way = [definitions.one_way_silences(*two, end, DOUBT_MS) for two in ((a, b), (b, a))]
    for channel, taken in zip((*(o[0] for o in damage.other), *(d[0] for d in damage.dead)), hold + dead, strict=True):
        one_way[channel] = _in_doubt_with(taken, one_way[channel])
    unheard = [label for labels in one_way for label in labels]
    spans = [
        *_spans("overlap", "all", definitions.overlaps(a, b, DOUBT_MS)),
        *_spans("interrupt", CHANNELS[0], definitions.interruptions(a, b, DOUBT_MS)),
        *_spans("interrupt", CHANNELS[1], definitions.interruptions(b, a, DOUBT_MS)),
        *_spans("long_pause", "all", definitions.long_pauses(a + b, end, hold, DOUBT_MS)),
    ]
    for label in definitions.quiet_silences(a + b, end, [*hold, *dead], DOUBT_MS):
        in_another = any(other.start < label.end and label.start < other.end for other in unheard)
        spans += _spans("silence/quiet", "all", [label._replace(sure=label.sure and not in_another)])
    for who, label in definitions.floor_changes(a, b, DOUBT_MS):
        spans += _spans("speaker_change", CHANNELS[who], [label])
    for who, channel in enumerate(CHANNELS):
        spans += _spans("silence/one_way", channel, one_way[who])
        spans += _spans("volume_spike", channel, _spikes(clean[who], active[who], rate_hz))
    spans += [Span("silence/hold", CHANNELS[other[0]], *where) for other, where in zip(damage.other, hold, strict=True)]
    return spans + [
        Span("silence/digital", CHANNELS[one[0]], *where) for one, where in zip(damage.dead, dead, strict=True)
    ]


def _in_doubt_with(taken: Spurt, labels: Sequence[Label]) -> list[Label]:
    """Labels of which none is sure that meets a silence of a kind that comes before it."""
    return [label._replace(sure=label.sure and (label.end <= taken[0] or taken[1] <= label.start)) for label in labels]


def _spikes(clean: Sound, active: NDArray[np.bool_], rate_hz: int) -> list[Label]:
    frames = len(active) // 2
    power = np.mean(clean[: frames * rate_hz // 50].reshape(frames, -1) ** 2, axis=1)
    return definitions.volume_spikes(power, active[: frames * 2].reshape(-1, 2).any(axis=1), DOUBT_MS)


def _changes(lines: Sequence[Line]) -> list[Label]:
    """Where one voice follows another; `lines` are in turn."""
    edges = pairwise(sorted(lines, key=lambda line: line.start))
    return [Label(b.start * HOP_MS, b.end * HOP_MS) for a, b in edges if a.channel != b.channel]


def _spans(type: str, channel: str, labels: Sequence[Label]) -> list[Span]:
    return [Span(type, channel, *label) for label in labels]
