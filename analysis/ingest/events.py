"""What a decoder of a telephony dialect says it read: frozen values, the same for every dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.audio import Encoding


class ProtocolError(Exception):
    """The peer sent something that cannot be gone on from.

    Attributes:
        code: the WebSocket close code to answer with (1003, 1008, 1009, 4401, …).
        message: one sentence that names the offending value, fit to be shown to the peer.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Start:
    """The stream's description, always the first event, exactly once.

    Attributes:
        protocol: the dialect, `twilio` or `pcm`.
        call_id: the platform's call id, 1–256 characters without controls.
        stream_id: unique per socket; the platform's where it has one.
        encoding: how one sample is written on the wire.
        sample_rate: Hz on the wire, as announced.
        channels: the names of the logical channels in order, one or two of `caller`, `agent`, `mixed`.
        params: what else the platform said (custom parameters, query), as text. Never logged.
        endpoint: the name of the endpoint that it came to; empty for a dialect's default one.
        continuous: audio comes, with its place in the stream, even while a call is held; else nothing is sent then.
    """

    protocol: str
    call_id: str
    stream_id: str
    encoding: Encoding
    sample_rate: int
    channels: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Audio:
    """Bytes of whole samples in the stream's encoding, in media order.

    `channel` is an index into `Start.channels`; `None` means the samples of all channels interleaved.
    """

    data: bytes
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Media time that passed without audio.

    `samples` counts at the stream's rate, per channel, and may stand for hours; `why` is `lost` (frames were
    sent but never came) or `paused` (nothing was sent). `channel` as in `Audio`.
    """

    samples: int
    why: str
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the stream, at most once and always last.

    `reason` is `stop` (the peer said so), `close` (it closed its socket), `lost` (its socket went without a word),
    `error` (what it sent could not be gone on from) or `shutdown` (the server ends).
    """

    reason: str


Event = Start | Audio | Gap | Stop
