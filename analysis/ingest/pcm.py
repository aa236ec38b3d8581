"""Raw audio over a WebSocket: binary frames of any size, described by query, text frame or WAV header."""

import re
import struct
import uuid
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from analysis.ingest import fields
from analysis.ingest.events import Audio, Event, ProtocolError, Start, Stop

# A WAV header with its lists of titles and cue points; real ones are below 1 KiB.
LONGEST_WAV_HEADER = 64 * 1024

_ROLES = ("caller", "agent", "mixed")
_DEFAULT_ROLES = {1: "mixed", 2: "caller,agent"}
_FIELDS = ("call_id", "encoding", "sample_rate", "channels", "roles")
_WAV_ENCODINGS = {(1, 16): "linear16", (6, 8): "alaw", (7, 8): "mulaw"}
_WAV_EXTENSIBLE = 0xFFFE


class _Phase(Enum):
    WAITING = "waiting for audio or start"
    STREAMING = "streaming"
    ENDED = "ended"


class PcmDecoder:
    """The decoder of one socket.

    The stream starts with its first audio, or with a `start` message: until then its description may change.

    Args:
        query: the query string of the socket's address.
        defaults: the fields that count where neither query, start nor WAV header says otherwise.

    Raises:
        ProtocolError: 1003 for an unknown encoding in the query, 1008 for another wrong value.
    """

    def __init__(self, query: str, defaults: Mapping[str, str] = MappingProxyType({})) -> None:
        self.stream_id = str(uuid.uuid4())
        self._phase = _Phase.WAITING
        self._fields = {**defaults, **_read_query(query)}
        self._start = _described(self._fields, self.stream_id)
        self._group_bytes = 0
        self._rest = bytearray()  # a WAV header that is not whole yet, afterwards a sample group that isn't

    @property
    def ended(self) -> bool:
        """Whether the stream is over; whatever comes afterwards is ignored."""
        return self._phase is _Phase.ENDED

    def feed(self, message: str | bytes) -> list[Event]:
        """The events that one WebSocket message makes known.

        Raises:
            ProtocolError: 1003 when the message can't be read, 1008 when it comes in the wrong order or asks
                for what isn't there.
        """
        if self._phase is _Phase.ENDED:
            return []
        return self._control(message) if isinstance(message, str) else self._audio(message)

    def finish(self, reason: str) -> list[Event]:
        """The end of the socket: Stop, and nothing if the stream never started."""
        events: list[Event] = []
        if self._phase is _Phase.WAITING and 0 < len(self._rest) < 4:
            # Too short to tell a WAV header's first letters from samples: then they are samples.
            events = [self._begin(), *self._whole_groups(b"")]
        phase, self._phase = self._phase, _Phase.ENDED
        return [*events, Stop(reason)] if phase is _Phase.STREAMING else []

    def _control(self, message: str) -> list[Event]:
        frame = fields.json_object(message)
        kind = fields.text_field(frame.get("type"), "type")
        if kind == "start":
            return [self._start_as_told(frame)]
        if kind == "CloseStream":
            return self.finish("stop")
        # KeepAlive and Finalize ask for nothing here, where nothing is held back; the rest is for others.
        return []

    def _start_as_told(self, frame: dict[str, Any]) -> Start:
        if self._phase is not _Phase.WAITING or self._rest:
            raise ProtocolError(fields.WRONG, "start after the stream has started; a stream has one")
        self._fields |= _read_start(frame)
        self._start = _described(self._fields, self.stream_id)
        return self._begin()

    def _begin(self) -> Start:
        self._group_bytes = self._start.encoding.sample_width * len(self._start.channels)
        self._phase = _Phase.STREAMING
        return self._start

    def _audio(self, data: bytes) -> list[Event]:
        if self._phase is _Phase.STREAMING:
            return self._whole_groups(data)
        self._rest += data
        if len(self._rest) < 4 and b"RIFF".startswith(self._rest):
            return []
        if self._rest.startswith(b"RIFF") and not self._skip_wav_header():
            return []
        return [self._begin(), *self._whole_groups(b"")]

    def _skip_wav_header(self) -> bool:
        """Take the format from the header and drop it; False while it is not whole.

        The length it gives is not used: who streams doesn't know it yet.
        """
        header = _read_wav_header(self._rest)
        if header is None:
            return False
        told, length = header
        self._start = _described(self._fields | told, self.stream_id)
        del self._rest[:length]
        return True

    def _whole_groups(self, data: bytes) -> list[Event]:
        """The samples of all channels up to the last complete group; the rest waits for the next frame."""
        if self._rest:
            data = bytes(self._rest) + data
            self._rest.clear()
        whole = len(data) - len(data) % self._group_bytes
        if whole < len(data):
            self._rest += data[whole:]
            data = data[:whole]
        return [Audio(data)] if data else []


def _read_query(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise ProtocolError(fields.WRONG, f"query cannot be read: {error}") from None


def _read_start(frame: dict[str, Any]) -> dict[str, str]:
    """The fields of a `start` message, by the names of the query or in camel case."""
    told = {}
    for name in _FIELDS:
        camel = re.sub("_([a-z])", lambda letter: letter[1].upper(), name)
        value = frame.get(name, frame.get(camel))
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = ",".join(value)
        if type(value) is int:
            value = str(value)
        if value is not None:
            told[name] = fields.text_field(value, name)
    return told


def _described(told: Mapping[str, str], stream_id: str) -> Start:
    return Start(
        protocol="pcm",
        call_id=fields.identifier(told.get("call_id", f"pcm-{stream_id}"), "call_id"),
        stream_id=stream_id,
        encoding=fields.encoding(told.get("encoding", "linear16"), "encoding"),
        sample_rate=fields.sample_rate_hz(told.get("sample_rate", "8000"), "sample_rate", fields.WRONG),
        channels=_read_channels(told.get("channels"), told.get("roles")),
        params={name: value for name, value in told.items() if name not in (*_FIELDS, "token")},
    )


def _read_channels(channels: str | None, roles: str | None) -> tuple[str, ...]:
    if channels is None:
        channels = "1" if roles is None else str(roles.count(",") + 1)
    if channels not in ("1", "2"):
        raise ProtocolError(fields.WRONG, f"channels is {fields.shown(channels)}; it must be 1 or 2")
    names = tuple((roles or _DEFAULT_ROLES[int(channels)]).split(","))
    if len(names) != int(channels) or len(set(names)) != len(names) or not set(names) <= set(_ROLES):
        wanted = f"{channels} different of {', '.join(_ROLES)}"
        raise ProtocolError(fields.WRONG, f"roles is {fields.shown(roles)}; it must name {wanted}")
    return names


def _read_wav_header(head: bytes | bytearray) -> tuple[dict[str, str], int] | None:
    """The format that a WAV header gives and the header's length in bytes; None while it is not whole.

    Layout: `RIFF` size `WAVE`, then chunks of id, size and body (padded to even) up to the one named `data`.
    """
    if len(head) < 12:
        return None
    if head[8:12] != b"WAVE":
        kind = fields.shown(bytes(head[8:12]))
        raise ProtocolError(fields.UNREADABLE, f"RIFF header is of {kind}, not WAVE")
    told: dict[str, str] | None = None
    at = 12
    while len(head) >= at + 8:
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"data":
            if told is None:
                raise ProtocolError(fields.UNREADABLE, "WAV header has data before fmt")
            return told, at + 8
        following = at + 8 + size + size % 2
        if following > LONGEST_WAV_HEADER:
            raise ProtocolError(
                fields.UNREADABLE, f"WAV header is longer than {LONGEST_WAV_HEADER} bytes: chunk of {size}"
            )
        if len(head) < following:
            return None
        if name == b"fmt ":
            told = _read_wav_format(bytes(head[at + 8 : following]))
        at = following
    return None


def _read_wav_format(body: bytes) -> dict[str, str]:
    """The `fmt ` chunk: tag, channels, rate, bytes a second, bytes a group, bits; extended: the tag again."""
    if len(body) < 16:
        raise ProtocolError(fields.UNREADABLE, f"WAV header's fmt chunk has {len(body)} bytes, not 16")
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _WAV_EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    encoding = _WAV_ENCODINGS.get((tag, bits))
    if encoding is None:
        raise ProtocolError(fields.UNREADABLE, f"WAV format {tag} of {bits} bits is not 16-bit PCM, mu-law or A-law")
    return {"encoding": encoding, "sample_rate": str(rate_hz), "channels": str(channels)}
