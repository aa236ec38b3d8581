"""Plays a recording as a live call: connects like a phone system and sends it in time."""

import asyncio
import base64
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import orjson
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from analysis.audio import Encoding, Recording, Samples, decode, open_recording, to_int16
from analysis.resampling import Resampler, heard_rate

FRAME_MS = 20
TWILIO_RATE_HZ = 8_000
_FRAME_SAMPLES = TWILIO_RATE_HZ * FRAME_MS // 1000
_TRACKS = ("inbound", "outbound")

# How long the server may take to close after the end of the call.
_CLOSE_WITHIN_S = 10.0


class PlayError(Exception):
    """The recording could not be played to its end: one sentence."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was sent: milliseconds of the recording, and messages of audio."""

    sent_ms: int
    frames: int


@dataclass(frozen=True, slots=True)
class _Call:
    """A call as its dialect sends it.

    `steps` gives the length of the call so far, ms, and the messages that are due when it is reached;
    `length_ms` is what they come to in all.
    """

    url: str
    headers: dict[str, str]
    opening: list[str]
    steps: Iterator[tuple[float, list[str] | list[bytes]]]
    closing: str
    length_ms: int


async def play(
    recording_path: str | Path,
    url: str,
    *,
    dialect: str,
    call_id: str,
    token: str,
    speed: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Played:
    """Play a WAV file into a media socket.

    Args:
        url: of the socket, for example `ws://127.0.0.1:8088/media/twilio/`.
        dialect: `twilio` (8 kHz mu-law; the two channels as both tracks) or `pcm` (as the recording is).
        token: the endpoint's secret.
        speed: 1 is natural speed, 2 twice as fast; infinity sends as fast as the server takes it.
        on_progress: told the milliseconds sent so far and in all, 50 times a second of the recording.

    Raises:
        PlayError: the server can't be reached, or closed the socket with a code.
        AudioError: the recording can't be heard, or not to its end; what there was has been sent.
        ValueError: there is no such dialect or speed.
    """
    if not speed > 0:
        raise ValueError(f"speed is {speed}, not above 0")
    call = _call(open_recording(recording_path), url, dialect, call_id, token)
    async with await _connected(call) as socket:
        try:
            for message in call.opening:
                await socket.send(message)
            played = await _send_in_time(socket, call, speed, on_progress)
            await socket.send(call.closing)
        except ConnectionClosed as closed:
            raise PlayError(f"{url} {_closing_words(closed)} before the end of the recording") from None
        except asyncio.CancelledError:  # whoever stops the player hangs up, as a caller does
            with contextlib.suppress(ConnectionClosed):
                await socket.send(call.closing)
            raise
        await _wait_for_close(socket, url)
    return played


def _call(recording: Recording, url: str, dialect: str, call_id: str, token: str) -> _Call:
    if dialect == "twilio":
        return _twilio_call(recording, url, call_id, token)
    if dialect == "pcm":
        return _pcm_call(recording, url, call_id, token)
    raise ValueError(f"dialect is {dialect!r}; recordings are played as twilio or pcm")


async def _connected(call: _Call) -> ClientConnection:
    try:
        # Directly, as a phone system would: a proxy of this machine's environment has no part in it.
        return await connect(call.url, additional_headers=call.headers, compression=None, proxy=None)
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise PlayError(f"cannot connect to {call.url.partition('?')[0]}: {error}") from None


async def _send_in_time(
    socket: ClientConnection, call: _Call, speed: float, on_progress: Callable[[int, int], None] | None
) -> Played:
    """Send each message when its last sample has been spoken, by deadlines from the start: no drift.

    A server that takes no more holds `send`; what is late then follows at once.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    sent_ms, frames = 0.0, 0
    for sent_ms, messages in call.steps:
        wait_s = started + sent_ms / 1000 / speed - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        for message in messages:
            await socket.send(message)
            frames += 1
        if on_progress:
            on_progress(round(sent_ms), call.length_ms)
    return Played(round(sent_ms), frames)


async def _wait_for_close(socket: ClientConnection, url: str) -> None:
    """The server closes when it has taken the end; one that doesn't is left."""
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            while True:
                await socket.recv()
    except TimeoutError:
        return
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != 1000:
            raise PlayError(f"{url} {_closing_words(closed)}") from None


def _closing_words(closed: ConnectionClosed) -> str:
    if closed.rcvd is None:
        return "broke the connection"
    return f"closed with {closed.rcvd.code} {closed.rcvd.reason}".rstrip()


def _pcm_call(recording: Recording, url: str, call_id: str, token: str) -> _Call:
    described = {
        "call_id": call_id,
        "encoding": recording.encoding.value,
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
    }
    return _Call(
        url=f"{url}?{urlencode(described)}",
        headers={"Authorization": f"Bearer {token}"},
        opening=[],
        steps=_pcm_steps(recording),
        closing=_json({"type": "CloseStream"}),
        length_ms=recording.duration_ms,
    )


def _pcm_steps(recording: Recording) -> Iterator[tuple[float, list[bytes]]]:
    sent_bytes = 0
    bytes_per_ms = recording.sample_rate * recording.channels * recording.encoding.sample_width / 1000
    for block in recording.blocks(FRAME_MS):
        sent_bytes += len(block)
        yield sent_bytes / bytes_per_ms, [block]


def _twilio_call(recording: Recording, url: str, call_id: str, token: str) -> _Call:
    stream = {"streamSid": f"MZ{call_id}"}
    start = stream | {
        "accountSid": "AC",
        "callSid": call_id,
        "tracks": _TRACKS[: recording.channels],
        "customParameters": {"token": token},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": TWILIO_RATE_HZ, "channels": 1},
    }
    stop = {"accountSid": "AC", "callSid": call_id}
    return _Call(
        url=url,
        headers={},
        opening=[
            _json({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
            _json({"event": "start", "sequenceNumber": "1", **stream, "start": start}),
        ],
        steps=_twilio_steps(recording, stream),
        closing=_json({"event": "stop", **stream, "stop": stop}),
        length_ms=recording.duration_ms,
    )


def _twilio_steps(recording: Recording, stream: dict[str, str]) -> Iterator[tuple[float, list[str]]]:
    """Frames of 20 ms, one a track; numbers are strings, as Twilio writes them."""
    sequence, sent = 1, 0
    for chunk, frame in enumerate(_framed(_mulaw_tracks(recording)), 1):
        messages = []
        for track, data in zip(_TRACKS, frame, strict=False):
            sequence += 1
            media = {
                "track": track,
                "chunk": str(chunk),
                "timestamp": str((chunk - 1) * FRAME_MS),
                "payload": base64.b64encode(data).decode(),
            }
            messages.append(_json({"event": "media", "sequenceNumber": str(sequence), **stream, "media": media}))
        sent += len(frame[0])
        yield sent * 1000 / TWILIO_RATE_HZ, messages


def _framed(pieces: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
    """Pieces of any length as frames of 20 ms, the last one shorter."""
    rest: list[bytes] = []
    for piece in pieces:
        rest = [old + new for old, new in zip(rest, piece, strict=True)] if rest else piece
        while len(rest[0]) >= _FRAME_SAMPLES:
            yield [track[:_FRAME_SAMPLES] for track in rest]
            rest = [track[_FRAME_SAMPLES:] for track in rest]
    if rest and rest[0]:
        yield rest


def _mulaw_tracks(recording: Recording) -> Iterator[list[bytes]]:
    """Each channel as mu-law at 8 kHz; a recording that is just that passes through unchanged."""
    channels = range(recording.channels)
    if (recording.encoding, recording.sample_rate) == (Encoding.MULAW, TWILIO_RATE_HZ):
        for block in recording.blocks(FRAME_MS):
            yield [block[channel :: recording.channels] for channel in channels]
        return
    lines = [_Narrowband(recording.sample_rate) for _ in channels]
    for block in recording.blocks(FRAME_MS):
        samples = decode(block, recording.encoding).reshape(-1, recording.channels)
        yield [encode_mulaw(lines[channel].push(samples[:, channel])) for channel in channels]
    yield [encode_mulaw(line.finish()) for line in lines]


class _Narrowband:
    """One channel's way from its own rate to 8 kHz."""

    def __init__(self, sample_rate_hz: int) -> None:
        rate_hz = heard_rate(sample_rate_hz)
        self._rate_hz = sample_rate_hz
        self._resampler = None if sample_rate_hz == rate_hz else Resampler(sample_rate_hz)
        self._halver = None if rate_hz == TWILIO_RATE_HZ else _Halver()
        self._taken = 0
        self._given = 0

    def push(self, samples: Samples) -> Samples:
        """Take int16 samples (n,), give those at 8 kHz that can be made now, int16 (m,)."""
        self._taken += len(samples)
        return self._convert(samples)

    def finish(self) -> Samples:
        """The rest, up to the length of what was taken."""
        owed = self._taken * TWILIO_RATE_HZ // self._rate_hz - self._given
        silence = np.zeros(self._rate_hz // 10, dtype=np.int16)  # longer than both filters reach
        return self._convert(silence)[:owed]

    def _convert(self, samples: Samples) -> Samples:
        if self._resampler:
            samples = self._resampler.push(samples)
        if self._halver:
            samples = self._halver.push(samples)
        self._given += len(samples)
        return samples


class _Halver:
    """16 kHz to 8 kHz: a low-pass at 3.6 kHz, then every second sample, without delay.

    The filter is a sinc under a Kaiser window of unity gain at 0 Hz.
    """

    _REACH = 63  # taps on each side of a sample

    def __init__(self) -> None:
        distance = np.arange(-self._REACH, self._REACH + 1)
        taps = np.sinc(distance * (3_600 / 8_000)) * np.kaiser(len(distance), 7.0)
        self._taps = taps / taps.sum()
        self._pending = np.zeros(self._REACH)  # input that a coming output still needs

    def push(self, samples: Samples) -> Samples:
        """Take int16 samples (n,), give int16 (about n/2,)."""
        self._pending = np.concatenate([self._pending, samples])
        outputs = max(0, len(self._pending) - 2 * self._REACH + 1) // 2
        if not outputs:
            return np.zeros(0, dtype=np.int16)
        window = self._pending[: 2 * (outputs - 1) + len(self._taps)]
        self._pending = self._pending[2 * outputs :]
        return to_int16(np.convolve(window, self._taps, "valid")[::2] / 32768.0)


def _mulaw_codes() -> NDArray[np.uint8]:
    """The mu-law byte of each 16-bit sample, by the sample's bits; ITU-T G.711, the encoding of table 2."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(samples), 32635) + 132
    exponent = np.log2(magnitude).astype(np.int32) - 7
    mantissa = magnitude >> (exponent + 3) & 15
    sign = np.where(samples < 0, 0x80, 0)
    return np.asarray(~(sign | exponent << 4 | mantissa) & 0xFF, dtype=np.uint8)


_MULAW_CODES = _mulaw_codes()


def encode_mulaw(samples: Samples) -> bytes:
    """Int16 samples (n,) as n bytes of mu-law."""
    return _MULAW_CODES[samples.astype(np.uint16)].tobytes()


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
