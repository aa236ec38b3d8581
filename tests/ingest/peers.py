"""Strict senders of each dialect as plain functions, and what a listener makes of the events."""

import base64
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

from analysis.ingest.events import Audio, Event, Gap, Start, Stop

FRAME_MS = 20
FRAME = 160  # bytes, and samples, of 20 ms of mu-law at 8 kHz


def twilio_start(**changes: Any) -> str:
    """A `start` frame; keyword arguments replace its fields, None removes one."""
    start = {
        "streamSid": "MZ0001",
        "accountSid": "AC0001",
        "callSid": "CA0001",
        "tracks": ["inbound", "outbound"],
        "customParameters": {},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    } | changes
    start = {name: value for name, value in start.items() if value is not None}
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ0001", "start": start})


def twilio_media(chunk: Any, data: bytes | str, *, track: Any = "inbound", timestamp_ms: Any = None) -> str:
    """A `media` frame, its numbers as strings; its timestamp is its chunk's place unless told."""
    timestamp_ms = (int(chunk) - 1) * FRAME_MS if timestamp_ms is None else timestamp_ms
    media = {
        "track": track,
        "chunk": str(chunk) if isinstance(chunk, int) else chunk,
        "timestamp": str(timestamp_ms) if type(timestamp_ms) is int else timestamp_ms,
        "payload": data if isinstance(data, str) else base64.b64encode(data).decode(),
    }
    return json.dumps({"event": "media", "sequenceNumber": "2", "streamSid": "MZ0001", "media": media})


TWILIO_CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
TWILIO_STOP = json.dumps({"event": "stop", "streamSid": "MZ0001", "stop": {"callSid": "CA0001"}})


def voice(frames: int, seed: int = 0) -> list[bytes]:
    """Frames of 20 ms that can be told apart."""
    source = random.Random(seed)
    return [source.randbytes(FRAME) for _ in range(frames)]


def heard(events: Iterable[Event], channel: int | None = 0) -> bytes:
    """The audio bytes of one channel, gaps left out."""
    return b"".join(e.data for e in events if isinstance(e, Audio) and e.channel == channel)


def gaps(events: Iterable[Event], channel: int | None = 0) -> list[tuple[str, int]]:
    """The gaps of one channel as (why, samples)."""
    return [(e.why, e.samples) for e in events if isinstance(e, Gap) and e.channel == channel]


def placed(events: Iterable[Event], channel: int | None = 0, width: int = 1) -> int:
    """Samples of media time of one channel, gaps included."""
    return len(heard(events, channel)) // width + sum(samples for _, samples in gaps(events, channel))


def assert_well_formed(events: Sequence[Event]) -> None:
    """Start first, Stop last, each at most once, nothing empty between."""
    starts = [i for i, e in enumerate(events) if isinstance(e, Start)]
    stops = [i for i, e in enumerate(events) if isinstance(e, Stop)]
    assert starts == ([0] if events else [])
    assert stops in ([], [len(events) - 1])
    assert all(e.data for e in events if isinstance(e, Audio))
    assert all(e.samples > 0 for e in events if isinstance(e, Gap))
