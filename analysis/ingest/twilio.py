"""Twilio Media Streams: JSON text frames in, events out, without I/O.

Both tracks of a call come as separate, interleaved lines of frames. Each line has chunk numbers, which give
the order, and timestamps (ms since the stream's start), which give the place: so the two stay aligned when
one begins later, pauses or loses frames.
"""

import binascii
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from analysis.ingest import fields
from analysis.ingest.events import Audio, Event, Gap, ProtocolError, Start, Stop

# How long a frame waits for one before it: whichever is reached first.
HOLD_FRAMES = 5
HOLD_MS = 200

# Timestamps are whole ms of the sender's clock and wander around the sample count by a frame or two. Up to
# three frames of 20 ms are taken for that: less than any duration that a finding depends on (≥ 100 ms).
JITTER_MS = 60

# Media time moves on by what either track sends. A call that is alive is never silent on the wire this long, so a
# larger step is a clock that jumped, and hearing hours of nothing would keep every other call waiting.
LONGEST_STEP_MS = 60 * 1000

DEFAULT_ROLES = {"inbound": "caller", "outbound": "agent"}


class _Phase(Enum):
    WAITING = "waiting for start"
    STREAMING = "streaming"
    ENDED = "ended"


class TwilioDecoder:
    """The decoder of one socket.

    Args:
        roles: who is on the track `inbound`, and who on `outbound`: `caller` and `agent`.
    """

    def __init__(self, roles: Mapping[str, str] = MappingProxyType(DEFAULT_ROLES)) -> None:
        self._roles = dict(sorted(roles.items(), key=lambda item: item[1], reverse=True))  # the caller comes first
        self._phase = _Phase.WAITING
        self._tracks: dict[str, _Track] = {}
        self._clock_ms = 0

    @property
    def ended(self) -> bool:
        """Whether the stream is over; whatever comes afterwards is ignored."""
        return self._phase is _Phase.ENDED

    def feed(self, message: str | bytes) -> list[Event]:
        """The events that one WebSocket message makes known.

        Raises:
            ProtocolError: 1003 when the message can't be read, 1008 when it comes in the wrong order.
        """
        if self._phase is _Phase.ENDED:
            return []
        if not isinstance(message, str):
            raise ProtocolError(fields.UNREADABLE, f"binary frame of {len(message)} bytes; only text frames are read")
        frame = fields.json_object(message)
        event = frame.get("event")
        if event == "media":
            return self._media(fields.object_field(frame.get("media"), "media"))
        if event == "start":
            return [self._start(frame)]
        if event == "stop":
            return self.finish("stop")
        fields.text_field(event, "event")
        return []

    def finish(self, reason: str) -> list[Event]:
        """The end of the socket: what was still held back, then Stop; nothing if it never started."""
        phase, self._phase = self._phase, _Phase.ENDED
        if phase is not _Phase.STREAMING:
            return []
        held = [event for track in self._tracks.values() for event in track.release_all()]
        return [*held, Stop(reason)]

    def _start(self, frame: dict[str, Any]) -> Start:
        if self._phase is not _Phase.WAITING:
            raise ProtocolError(fields.WRONG, "second start; a stream has one")
        described = fields.object_field(frame.get("start"), "start")
        start = _read_start(described, frame.get("streamSid"), self._roles)
        names = [name for name, role in self._roles.items() if role in start.channels]
        self._tracks = {
            name: _Track(channel, start.encoding.sample_width, start.sample_rate) for channel, name in enumerate(names)
        }
        self._phase = _Phase.STREAMING
        return start

    def _media(self, media: dict[str, Any]) -> list[Event]:
        if self._phase is _Phase.WAITING:
            raise ProtocolError(fields.WRONG, "media before start")
        track = self._announced_track(media.get("track"))
        chunk = fields.whole_number(media.get("chunk"), "media.chunk")
        timestamp_ms = fields.whole_number(media.get("timestamp"), "media.timestamp")
        if timestamp_ms - self._clock_ms > LONGEST_STEP_MS:
            raise ProtocolError(
                fields.UNREADABLE, f"media.timestamp jumps from {self._clock_ms} to {timestamp_ms} ms; 60 s is the most"
            )
        events = track.push(chunk, timestamp_ms, _payload(media.get("payload"), chunk))
        if timestamp_ms > self._clock_ms:
            self._clock_ms = timestamp_ms
        for each in self._tracks.values():
            if each.held:
                events += each.release(self._clock_ms)
        return events

    def _announced_track(self, name: Any) -> "_Track":
        track = self._tracks.get(fields.text_field(name, "media.track"))
        if track is None:
            announced = " and ".join(self._tracks)
            raise ProtocolError(fields.WRONG, f"media.track {fields.shown(name)} was not announced; {announced} was")
        return track


class _Track:
    """One direction of a call: puts its frames in order and at their places."""

    def __init__(self, channel: int, sample_width: int, sample_rate_hz: int) -> None:
        self._channel = channel
        self._width = sample_width
        self._rate_hz = sample_rate_hz
        self._jitter = JITTER_MS * sample_rate_hz // 1000
        self._next_chunk = 1
        self._position = 0  # samples of media time so far, gaps included
        self._odd = b""  # the first byte of a sample that a frame's end cut
        self.held: dict[int, tuple[int, bytes]] = {}  # chunk -> (timestamp_ms, data); at most HOLD_FRAMES + 1

    def push(self, chunk: int, timestamp_ms: int, data: bytes) -> list[Event]:
        """Take a frame that just came; give it if it is the next one, else hold it. Doubles are dropped."""
        if chunk == self._next_chunk:
            return self._place(chunk, timestamp_ms, data)
        if chunk > self._next_chunk and chunk not in self.held:
            self.held[chunk] = (timestamp_ms, data)
        return []

    def release(self, clock_ms: int) -> list[Event]:
        """Give the held frames that are next, or that waited long enough for the missing one."""
        events: list[Event] = []
        while self.held:
            chunk = min(self.held)
            overdue = len(self.held) > HOLD_FRAMES or clock_ms - self.held[chunk][0] >= HOLD_MS
            if chunk != self._next_chunk and not overdue:
                break
            events += self._place(chunk, *self.held.pop(chunk))
        return events

    def release_all(self) -> list[Event]:
        """Give every held frame in order."""
        return [event for chunk in sorted(self.held) for event in self._place(chunk, *self.held.pop(chunk))]

    def _place(self, chunk: int, timestamp_ms: int, data: bytes) -> list[Event]:
        skipped = chunk - self._next_chunk
        self._next_chunk = chunk + 1
        ahead = timestamp_ms * self._rate_hz // 1000 - self._position
        events: list[Event] = []
        if skipped or ahead > self._jitter:
            events += self._gaps(ahead, skipped * (len(data) // self._width))
        if self._width > 1:
            data = self._whole_samples(data)
        if data:
            self._position += len(data) // self._width
            events.append(Audio(data, self._channel))
        return events

    def _gaps(self, ahead: int, skipped_samples: int) -> list[Event]:
        """What lies between the samples so far and a frame that its timestamp puts `ahead` of them.

        The timestamp bounds what can be lost: a number that jumps, or that both tracks share, loses nothing.
        """
        self._odd = b""
        lost = max(0, min(ahead, skipped_samples))
        paused = ahead - lost
        events: list[Event] = []
        if lost:
            events.append(Gap(lost, "lost", self._channel))
            self._position += lost
        if paused > self._jitter:
            events.append(Gap(paused, "paused", self._channel))
            self._position += paused
        return events

    def _whole_samples(self, data: bytes) -> bytes:
        data = self._odd + data
        whole = len(data) - len(data) % self._width
        self._odd = data[whole:]
        return data[:whole]


def _read_start(start: dict[str, Any], frame_stream_sid: Any, roles: Mapping[str, str]) -> Start:
    media_format = fields.object_field(start.get("mediaFormat"), "start.mediaFormat")
    interleaved = fields.whole_number(media_format.get("channels", 1), "start.mediaFormat.channels")
    if interleaved != 1:
        raise ProtocolError(fields.UNREADABLE, f"start.mediaFormat.channels is {interleaved}; a track has 1")
    return Start(
        protocol="twilio",
        call_id=fields.identifier(start.get("callSid"), "start.callSid"),
        stream_id=fields.identifier(start.get("streamSid", frame_stream_sid), "start.streamSid"),
        encoding=fields.encoding(media_format.get("encoding"), "start.mediaFormat.encoding"),
        sample_rate=fields.sample_rate_hz(media_format.get("sampleRate"), "start.mediaFormat.sampleRate"),
        channels=_read_channels(start.get("tracks"), roles),
        params=_read_params(start.get("customParameters", {})),
        continuous=True,
    )


def _read_channels(tracks: Any, roles: Mapping[str, str]) -> tuple[str, ...]:
    if not isinstance(tracks, list) or not tracks:
        raise ProtocolError(fields.UNREADABLE, f"start.tracks is {fields.shown(tracks)}, not a list of tracks")
    for track in tracks:
        if not isinstance(track, str) or track not in roles:
            raise ProtocolError(
                fields.UNREADABLE, f"start.tracks has {fields.shown(track)}; there are inbound and outbound"
            )
    return tuple(role for name, role in roles.items() if name in tracks)


def _read_params(params: Any) -> dict[str, str]:
    described = fields.object_field(params, "start.customParameters")
    # The name is the peer's, the value may be a secret: neither belongs into an error.
    if not all(isinstance(value, str) for value in described.values()):
        raise ProtocolError(fields.UNREADABLE, "start.customParameters has a value that is not a string")
    return described


def _payload(payload: Any, chunk: int) -> bytes:
    try:
        return binascii.a2b_base64(fields.text_field(payload, "media.payload"), strict_mode=True)
    except ValueError as error:
        raise ProtocolError(fields.UNREADABLE, f"media.payload of chunk {chunk} is not base64: {error}") from None
