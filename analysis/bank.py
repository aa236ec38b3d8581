"""The engine's front: many calls heard together (`CallBank`), or one (`CallAnalyzer`)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.audio import Encoding, decode, to_int16
from analysis.features import FRAME_MS, FRAMES_PER_S, Features, measure
from analysis.findings import AnalysisResult, Finding
from analysis.framing import Track
from analysis.listener import FrameDetector, Listener, Thresholds
from analysis.quality import NetworkSample
from analysis.resampling import check_rate
from analysis.rows import CHANNELS, Bools, Ints
from analysis.sentiment import Segment
from analysis.spectrum import HOPS
from analysis.vad import NetworkVad, VoiceActivity
from analysis.vitals import Vitals

Audio = bytes | NDArray[np.int16] | NDArray[np.float32] | NDArray[np.float64]

MAX_SKEW_MS = 1000
"""How far one channel may be ahead of the other before the other's audio is given up."""

_MAX_SKEW_FRAMES = MAX_SKEW_MS // FRAME_MS
_FRAMES_A_PASS = FRAMES_PER_S  # bounds what one pass keeps in memory when much audio waits
_RESERVED = ("all",)

MAX_GAP_S = 3600
"""The longest media time without audio that `gap` takes at once: all of it is heard, frame by frame."""


@dataclass(frozen=True, slots=True)
class CallStats:
    """How much of a call was heard.

    Attributes:
        heard_ms: media time judged so far, missing audio included.
        talk_ms: by channel name, time in talkspurts.
        missing_ms: by channel name, media time for which no audio came.
        late_ms: by channel name, audio that came after it had been given up, and was dropped.
    """

    heard_ms: int
    talk_ms: Mapping[str, int]
    missing_ms: Mapping[str, int]
    late_ms: Mapping[str, int]


_Frames = tuple[bytes, bytes, Bools | None]
"""Frames of a channel, as `Track.take` gives them."""


class _Taken(NamedTuple):
    """The next frames of a call: how many, and by channel."""

    call: "_Call"
    number: int
    frames: list[_Frames]


class _Call:
    """A call's place in the bank and its audio that is not heard yet."""

    def __init__(self, row: int, sample_rate: int, names: tuple[str, ...], encoding: Encoding) -> None:
        self.row, self.names = row, names
        self.vitals = Vitals(names)
        self.failure: Exception | None = None  # if there is one, the call is set aside: nothing more of it is heard
        self.heard_frames = 0
        self._begin_tracks(sample_rate, encoding)
        self._earlier_ms = {"missing": [0] * len(names), "late": [0] * len(names)}  # by channel, of earlier tracks

    def _begin_tracks(self, sample_rate: int, encoding: Encoding) -> None:
        self.encoding = encoding
        self._width = encoding.sample_width
        self.tracks = [Track(encoding, sample_rate) for _ in self.names]
        self._first_frame = self.heard_frames  # of the call, where these tracks have their first
        self._odd = b""  # an incomplete sample of interleaved channels

    def go_on(self, sample_rate: int, encoding: Encoding) -> None:
        """What was pushed has been heard; the next audio comes at another rate or in another encoding."""
        self._earlier_ms = {"missing": self.missing_ms, "late": self.late_ms}
        self._begin_tracks(sample_rate, encoding)

    @property
    def missing_ms(self) -> list[int]:
        """By channel, media time for which no audio came."""
        return self._with_earlier("missing")

    @property
    def late_ms(self) -> list[int]:
        """By channel, audio that came after it had been given up."""
        return self._with_earlier("late")

    def _with_earlier(self, what: str) -> list[int]:
        earlier = zip(self._earlier_ms[what], self.tracks, strict=True)
        return [ms + getattr(track, what) * 1000 // track.sample_rate for ms, track in earlier]

    def push_interleaved(self, data: bytes) -> None:
        """Append bytes of all channels, sample by sample."""
        if len(self.tracks) == 1:
            self.tracks[0].push(data)
            return
        width = self._width
        if self._odd:
            data = self._odd + data
        whole = len(data) // (width * CHANNELS) * width * CHANNELS
        data, self._odd = data[:whole], data[whole:]
        if width == 1:
            parts = [data[channel::CHANNELS] for channel in range(CHANNELS)]
        else:
            pairs = np.frombuffer(data, dtype="u2").reshape(-1, CHANNELS)
            parts = [pairs[:, channel].tobytes() for channel in range(CHANNELS)]
        for track, part in zip(self.tracks, parts, strict=True):
            track.push(part)

    def gap(self, samples: int, channel: int | None) -> None:
        """Append time without audio."""
        self._odd = b""
        for track in self.tracks if channel is None else [self.tracks[channel]]:
            track.gap(samples)

    def settle(self, limit: int) -> int:
        """How many frames to hear next; what lags too far behind is given up."""
        known = [self._first_frame + track.frames for track in self.tracks]
        least = min(known)
        until = min(max(least, max(known) - _MAX_SKEW_FRAMES), self.heard_frames + limit)
        if until > least:
            self._lose_until(until)
        return until - self.heard_frames

    def take(self, limit: int) -> _Taken | None:
        """The next frames, if there are any and taking them does not fail.

        This is where a call is on its own. What fails later, when all are heard in lock-step, fails for all.
        """
        if self.failure:
            return None
        try:
            count = self.settle(limit)
            return _Taken(self, count, [track.take(count) for track in self.tracks]) if count > 0 else None
        except Exception as error:
            self.failure = error
            return None

    def finish(self) -> None:
        """No more audio comes: the shorter channel lacks the rest."""
        for track in self.tracks:
            track.finish()
        self._lose_until(self._first_frame + max(track.frames for track in self.tracks))

    def _lose_until(self, frame: int) -> None:
        for track in self.tracks:
            if self._first_frame + track.frames < frame:
                track.lose(frame - self._first_frame)


class CallBank:
    """Hears many calls in lock-step, in constant memory a call however long it is.

    `push` and `gap` only append; `tick` hears everything that is complete. What is found does not depend
    on how audio was cut, how often `tick` is called or which other calls the bank has, as long as the
    channels of a call are within 1 s of each other at every tick; a channel that lags further is heard
    as missing, and its late audio is dropped.

    Not thread-safe: one thread owns a bank. Errors are `ValueError`s that name the value; the bank and
    its other calls are unharmed.
    """

    def __init__(
        self,
        thresholds: Thresholds | None = None,
        vad: VoiceActivity | None = None,
        observers: Sequence[FrameDetector] = (),
    ) -> None:
        """`vad` replaces the engine's own voice activity; `observers` are told each step as the detectors are."""
        limits = thresholds or Thresholds()
        self._listener = Listener(limits, vad or NetworkVad(limits.vad), observers)
        self._calls: dict[str, _Call] = {}
        self._ids: dict[int, str] = {}
        self._capacity = 1
        self._free = [0]
        self._last_closed: tuple[str, CallStats] | None = None
        self.results: list[tuple[str, AnalysisResult]] = []
        """How calls were in each window of 5 s that the last `tick`, `go_on` or `close` completed."""
        self._listener.resize(self._capacity)

    def open(
        self,
        call_id: str,
        sample_rate: int = 8000,
        channels: Iterable[str] = ("caller", "agent"),
        encoding: Encoding = Encoding.LINEAR16,
    ) -> None:
        """Begin a call with one or two named channels.

        Rates are 8000 to 96000 Hz in steps of 25 Hz; 8000 and 16000 are heard as they are, others are
        resampled to 8000 (below 16000) or 16000.
        """
        names = tuple(channels)
        if call_id in self._calls:
            raise ValueError(f"call {call_id!r} is open already")
        check_rate(sample_rate)
        if not 1 <= len(names) <= CHANNELS or len(set(names)) < len(names):
            raise ValueError(f"channels {names!r}: one or two different names are needed")
        if any(not name or name in _RESERVED for name in names):
            raise ValueError(f"channels {names!r}: a name is empty or reserved ({', '.join(_RESERVED)})")
        call = _Call(self._seat(), sample_rate, names, Encoding(encoding))
        self._listener.begin(call.row, names)
        self._calls[call_id] = call
        self._ids[call.row] = call_id

    def push(self, call_id: str, samples: Audio, channel: int | None = None) -> None:
        """Append audio of a call: all channels, or the one with index `channel`.

        Bytes are in the call's encoding, channels interleaved; an incomplete sample waits for its rest.
        Arrays are int16, or floats in -1..1, of shape (n,) for one channel or (n, channels); they are
        for calls in linear16.
        """
        call = self._call(call_id)
        self._check_channel(call, channel)
        if call.failure:
            return
        data = samples if isinstance(samples, bytes) else _to_bytes(call, samples, channel)
        if channel is None:
            call.push_interleaved(data)
        else:
            call.tracks[channel].push(data)

    def gap(self, call_id: str, samples: int, channel: int | None = None) -> None:
        """Append media time without audio: `samples` of the call's rate, on all channels or one."""
        call = self._call(call_id)
        self._check_channel(call, channel)
        longest = MAX_GAP_S * call.tracks[0].sample_rate
        if not 0 <= samples <= longest:
            raise ValueError(f"a gap of {samples} samples: 0 to {longest} ({MAX_GAP_S} s) can be taken")
        if not call.failure:
            call.gap(samples, channel)

    def go_on(
        self, call_id: str, sample_rate: int = 8000, encoding: Encoding = Encoding.LINEAR16
    ) -> list[tuple[str, Finding]]:
        """The call goes on in another stream: what is left of this one is heard, but for a partial last frame.

        From here on audio is pushed at this rate, in this encoding; media time goes on. Returns what was found.
        """
        call = self._call(call_id)
        check_rate(sample_rate)
        encoding = Encoding(encoding)
        if call.failure:
            return []
        call.finish()
        found = self._hear([call])
        call.go_on(sample_rate, encoding)
        return found

    def tell(self, call_id: str, told: NetworkSample | Segment) -> None:
        """Tell what is known of a call besides its sound: it counts in the window that is judged next."""
        self._call(call_id).vitals.tell(told)

    def tick(self) -> list[tuple[str, Finding]]:
        """Hear every complete frame of all calls; what was found, in the order of each call's time."""
        return self._hear(self._calls.values())

    def failed(self) -> dict[str, Exception]:
        """The open calls that were set aside, by a fault that their audio hit; the others are heard all the same."""
        return {call_id: call.failure for call_id, call in self._calls.items() if call.failure}

    def close(self, call_id: str) -> list[Finding]:
        """End a call: hear what is left of it, close each of its open events once, free its place."""
        call = self._call(call_id)
        if not call.failure:
            call.finish()
        found = [finding for _, finding in self._hear([call])]
        found += [finding for _, finding in self._listener.finish(call.row)]
        self._last_closed = (call_id, self._stats(call))
        del self._calls[call_id], self._ids[call.row]
        self._free.append(call.row)
        return found

    def stats(self, call_id: str) -> CallStats:
        """How much of a call was heard, of an open one or the one closed last."""
        if call_id not in self._calls and self._last_closed and self._last_closed[0] == call_id:
            return self._last_closed[1]
        return self._stats(self._call(call_id))

    def _call(self, call_id: str) -> _Call:
        try:
            return self._calls[call_id]
        except KeyError:
            raise ValueError(f"call {call_id!r} is not open") from None

    def _check_channel(self, call: _Call, channel: int | None) -> None:
        if channel is not None and not 0 <= channel < len(call.tracks):
            raise ValueError(f"channel {channel}: the call has {len(call.tracks)}")

    def _seat(self) -> int:
        if not self._free:
            self._free = list(range(2 * self._capacity - 1, self._capacity - 1, -1))
            self._capacity *= 2
            self._listener.resize(self._capacity)
        return self._free.pop()

    def _stats(self, call: _Call) -> CallStats:
        talk_ms = (frames * FRAME_MS for frames in self._listener.talk_frames(call.row))
        return CallStats(
            heard_ms=call.heard_frames * FRAME_MS,
            talk_ms=dict(zip(call.names, talk_ms, strict=True)),
            missing_ms=dict(zip(call.names, call.missing_ms, strict=True)),
            late_ms=dict(zip(call.names, call.late_ms, strict=True)),
        )

    def _hear(self, calls: Iterable[_Call]) -> list[tuple[str, Finding]]:
        """Hear all complete frames of these calls, at most one second of each at a time."""
        found: list[tuple[str, Finding]] = []
        self.results = []
        waiting = list(calls)
        while taken := [frames for call in waiting if (frames := call.take(_FRAMES_A_PASS))]:
            for row, finding in self._hear_pass(taken):
                found.append((self._ids[row], finding))
            waiting = [call for call, number, _ in taken if number == _FRAMES_A_PASS]  # may have more
        return found

    def _hear_pass(self, taken: list[_Taken]) -> list[tuple[int, Finding]]:
        lengths = np.zeros(self._capacity, dtype=np.int64)
        lengths[[call.row for call, _, _ in taken]] = [number for _, number, _ in taken]
        batch = _Batch(int(lengths.max()), self._capacity)
        for call, number, frames in taken:
            call.heard_frames += number
            batch.add(call, number, frames)
        features, heard = batch.measure()
        found = self._listener.hear(features, heard, lengths)
        for call, _, _ in taken:
            results = call.vitals.judge_until(call.heard_frames * FRAME_MS, self._listener.sound.scores(call.row))
            self.results += [(self._ids[call.row], result) for result in results]
        return found


class CallAnalyzer:
    """Hears one call: a bank of one."""

    _ID = "call"

    def __init__(self, sample_rate: int = 8000, channels: Iterable[str] = ("caller", "agent")) -> None:
        self._bank = CallBank()
        self._bank.open(self._ID, sample_rate, channels)

    def push(self, samples: Audio) -> list[Finding]:
        """Hear the next samples, int16 or float (n, channels), any n: what was found in them."""
        self._bank.push(self._ID, samples)
        return [finding for _, finding in self._bank.tick()]

    def finish(self) -> list[Finding]:
        """End the call: what was found in its last samples, and the end of everything still open."""
        return self._bank.close(self._ID)

    def tell(self, told: NetworkSample | Segment) -> None:
        """Tell what is known of the call besides its sound."""
        self._bank.tell(self._ID, told)

    @property
    def results(self) -> list[AnalysisResult]:
        """How the call was in each window of 5 s that the last `push` or `finish` completed."""
        return [result for _, result in self._bank.results]

    @property
    def stats(self) -> CallStats:
        """How much of the call was heard so far."""
        return self._bank.stats(self._ID)


class _Batch:
    """Frames of many calls on their way to be measured, those of one encoding and rate together."""

    def __init__(self, steps: int, rows: int) -> None:
        self._shape = (steps, rows, CHANNELS)
        self._heard = np.zeros(self._shape, dtype=np.bool_)
        self._groups: dict[tuple[Encoding, int], _Group] = defaultdict(_Group)

    def add(self, call: _Call, number: int, frames: list[_Frames]) -> None:
        """Put the next frames of a call into their places."""
        track = call.tracks[0]
        group = self._groups[track.frame_encoding, track.frame_rate]
        for channel, (before, data, heard) in enumerate(frames):
            group.before.append(before)
            group.data.append(data)
            group.counts.append(number)
            group.columns.append(call.row * CHANNELS + channel)
            if heard is not None:
                group.unheard.append((call.row, channel, np.flatnonzero(~heard)))

    def measure(self) -> tuple[Features, Bools]:
        """Features of all frames and which of them were heard, (steps, rows, channels)."""
        fields: dict[str, NDArray[Any]] = {}
        for (encoding, rate), group in self._groups.items():
            samples = decode(b"".join(group.data), encoding).reshape(-1, rate // FRAMES_PER_S)
            measured = measure(samples, group.samples_before(samples, encoding), rate)
            places = group.places(self._shape[1] * CHANNELS)
            self._heard.reshape(-1)[places] = True
            for row, channel, steps in group.unheard:
                self._heard[steps, row, channel] = False
            for name in Features.__slots__:
                value = getattr(measured, name)
                field = fields.setdefault(name, np.zeros((*self._shape, *value.shape[1:]), dtype=value.dtype))
                field.reshape(-1, *value.shape[1:])[places] = value
        return Features(**fields), self._heard


class _Group:
    """Consecutive frames of tracks, each with the 10 ms before them, its number of frames, and its column in a step."""

    def __init__(self) -> None:
        self.before: list[bytes] = []
        self.data: list[bytes] = []
        self.counts: list[int] = []
        self.columns: list[int] = []
        self.unheard: list[tuple[int, int, Ints]] = []  # row and channel of tracks that lack audio, and in which steps

    def samples_before(self, samples: NDArray[np.int16], encoding: Encoding) -> NDArray[np.int16]:
        """The 10 ms before each of the group's frames: the end of the frame before, or what was taken earlier."""
        hop = samples.shape[1] // HOPS
        before = np.empty((len(samples), hop), dtype=np.int16)
        before[1:] = samples[:-1, -hop:]
        before[self._firsts()] = decode(b"".join(self.before), encoding).reshape(-1, hop)
        return before

    def places(self, stride: int) -> Ints:
        """Where each frame belongs in an array (steps, rows, channels) laid flat."""
        counts = np.array(self.counts)
        step = np.arange(counts.sum()) - np.repeat(self._firsts(), counts)
        places: Ints = np.repeat(np.array(self.columns), counts) + step * stride
        return places

    def _firsts(self) -> Ints:
        """The first frame of each track."""
        counts = np.array(self.counts)
        firsts: Ints = np.cumsum(counts) - counts
        return firsts


def _to_bytes(call: _Call, samples: Any, channel: int | None) -> bytes:
    if not isinstance(samples, np.ndarray):
        raise ValueError(f"audio is a {type(samples).__name__}: bytes and arrays are heard")
    if call.encoding is not Encoding.LINEAR16:
        raise ValueError(f"an array of {samples.dtype} for a call in {call.encoding}: push its bytes")
    wanted = len(call.tracks) if channel is None else 1
    width = 1 if samples.ndim == 1 else samples.shape[-1]
    if samples.ndim not in (1, 2) or width != wanted:
        raise ValueError(f"samples of shape {samples.shape}: (n, {wanted}) is needed")
    return to_int16(samples).astype("<i2").tobytes()
