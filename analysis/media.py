"""The media sockets: a plain ASGI app that moves a phone system's messages into a call that is being heard.

One coroutine a socket reads, decodes and writes; it never computes and makes no task per message. When the
call takes no more, it stops reading, so that audio waits at its sender.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from analysis.ingest.auth import Endpoint, Proof, handshake_is_authorised, token_is_authorised
from analysis.ingest.events import Audio, Gap, ProtocolError, Start, Stop
from analysis.ingest.fields import shown
from analysis.ingest.pcm import PcmDecoder
from analysis.ingest.twilio import DEFAULT_ROLES as TWILIO_ROLES
from analysis.ingest.twilio import TwilioDecoder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
FindEndpoint = Callable[[str, str], Awaitable[Endpoint | None]]

# A message of audio is below 100 ms everywhere; 1 MiB is half a minute of 16-bit audio at 16 kHz.
LARGEST_MESSAGE_BYTES = 1024 * 1024

# The longest reason that fits into a WebSocket close frame (RFC 6455, 5.5).
LONGEST_REASON_BYTES = 123

_DIALECTS = ("pcm", "twilio")

# How a peer that means to end closes its socket: normal closure, going away, or no code at all (RFC 6455, 7.4.1).
_GOODBYES = frozenset({1000, 1001})
_NO_CODE = 1005

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The stream cannot be taken, or not any longer.

    Attributes:
        code: the WebSocket close code, for example 1013 when the server is full.
        reason: one sentence for the peer.
        why: what only the log may say.
    """

    def __init__(self, code: int, reason: str, why: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.why = why


Dismiss = Callable[[Refused], None]
"""Has a socket closed that is not wanted any more, with the code and reason it is given; again: nothing."""


class CallStream(Protocol):
    """One stream of a call that is being heard."""

    def write(self, event: Audio | Gap) -> bool:
        """Take the next piece; never blocks, never computes. False: full, `drain` before writing more."""

    async def drain(self) -> None:
        """Wait until there is room."""

    async def close(self, reason: str) -> None:
        """The stream's end, exactly once: `stop`, `close`, `lost`, `error` or `shutdown`."""


class CallSink(Protocol):
    """Where streams go."""

    async def open(self, start: Start, dismiss: Dismiss) -> CallStream:
        """Begin to hear a stream; `dismiss` ends its socket later. Raises Refused; cancelled, it leaves nothing behind.

        The stream is closed then too, like any other.
        """


async def only_the_default_endpoints(dialect: str, name: str) -> Endpoint | None:
    """There are no endpoints but each dialect's own."""
    return None


class MediaApp:
    """`/media/<dialect>/[<endpoint>/]`: authorises a phone system's socket, decodes it and writes into the sink.

    Args:
        sink: where the streams go.
        token: the secret of every dialect's default endpoint; empty refuses all.
        public_url: where the outside world reaches this server; Twilio signs it.
        find_endpoint: looks up the endpoint of a dialect by its name; None if there is none.
        start_within_s: how long a socket may stay without a start.
    """

    def __init__(
        self,
        sink: CallSink,
        token: str,
        public_url: str,
        *,
        find_endpoint: FindEndpoint = only_the_default_endpoints,
        start_within_s: float = 10.0,
    ) -> None:
        self.sink = sink
        self.token = token
        self.public_url = public_url
        self.find_endpoint = find_endpoint
        self.start_within_s = start_within_s
        self.stopping = False
        self._limits: set[asyncio.Timeout] = set()
        self._sockets = 0
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"media takes websocket connections, not {scope['type']!r}")
        self._sockets += 1
        self._all_closed.clear()
        try:
            await _Socket(self, scope, receive, send).run()
        finally:
            self._sockets -= 1
            if not self._sockets:
                self._all_closed.set()

    async def shutdown(self) -> None:
        """End every stream and close its socket with 1001; new ones are refused with 1013."""
        self.stopping = True
        for limit in self._limits:
            self.interrupt(limit)
        await self._all_closed.wait()

    def interrupt(self, limit: asyncio.Timeout) -> None:
        """Reach a limit now, unless what it limits is over."""
        if limit in self._limits and not limit.expired():
            limit.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[asyncio.Timeout]:
        """A time limit for the start of a stream that also is the handle to end it at shutdown.

        Raises Refused when it is reached.
        """
        limit = asyncio.timeout(self.start_within_s)
        try:
            async with limit:
                self._limits.add(limit)
                try:
                    yield limit
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            if not limit.expired():
                raise
            if self.stopping:
                raise Refused(1001, "Server shutting down") from None
            raise Refused(4408, f"No start within {self.start_within_s:g} s") from None


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a socket ended: what its stream is told, and what its peer is (no code: it is gone)."""

    reason: str
    code: int | None
    sentence: str = ""
    why: str = ""


class _Socket:
    """One peer's socket, from the handshake to the close."""

    def __init__(self, app: MediaApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._dialect, self._name = _route(scope["path"])
        self._endpoint = Endpoint(self._dialect, secret="")  # which lets nobody in
        self._authorised = False
        self._decoder: TwilioDecoder | PcmDecoder | None = None
        self._stream: CallStream | None = None
        self._dismissed: Refused | None = None

    async def run(self) -> None:
        """Hear the peer out; whatever ends it, what came before is kept and everybody is told once."""
        await self._receive()
        await self._tell({"type": "websocket.accept"})
        try:
            ending = await self._converse()
        except asyncio.CancelledError:
            await self._leave_stream("shutdown")
            raise
        await self._leave_stream(ending.reason)
        self._log(ending)
        await self._leave_peer(ending)

    async def _converse(self) -> _Ending:
        try:
            async with self._app.limit() as limit:
                self._decoder = await self._admit()
                return await self._listen(self._decoder, limit)
        except Refused as refusal:
            reason = "shutdown" if self._app.stopping else "error"
            told = self._dismissed or refusal
            return _Ending(reason, told.code, told.reason, told.why)
        except ProtocolError as error:
            return _Ending("error", error.code, error.message)
        except Exception:
            logger.exception("media %s: a bug ends this stream", self._dialect)
            return _Ending("error", 1011, "Internal error")

    async def _admit(self) -> TwilioDecoder | PcmDecoder:
        """Let the peer begin to speak, or raise. Nothing is made for it before it showed its credential."""
        if self._app.stopping:
            raise Refused(1013, "Server shutting down")
        self._endpoint = await self._find_endpoint()
        self._authorised = handshake_is_authorised(
            self._endpoint,
            path=_requested_path(self._scope),
            query=self._scope["query_string"],
            headers=self._scope["headers"],
            public_url=self._app.public_url,
        )
        late = self._dialect == "twilio" and self._endpoint.secret and self._endpoint.proof is not Proof.SIGNATURE
        if not self._authorised and not late:  # late: the token may still come with the start
            raise _unauthorised("no valid credential" if self._endpoint.secret else "MEDIA_TOKEN is not set")
        if self._dialect == "twilio":
            return TwilioDecoder(self._endpoint.roles or TWILIO_ROLES)
        return PcmDecoder(self._scope["query_string"].decode("latin-1"), self._endpoint.defaults)

    async def _find_endpoint(self) -> Endpoint:
        """The endpoint that the address names; that there is none is told in the same words as a wrong secret."""
        endpoint = None
        if self._dialect in _DIALECTS and not self._name:
            endpoint = Endpoint(self._dialect, self._app.token)
        elif self._dialect in _DIALECTS:
            endpoint = await self._app.find_endpoint(self._dialect, self._name)
        if endpoint is None:
            raise _unauthorised(f"there is no endpoint {shown(self._scope['path'])}")
        return endpoint

    async def _listen(self, decoder: TwilioDecoder | PcmDecoder, limit: asyncio.Timeout) -> _Ending:
        if isinstance(decoder, PcmDecoder):
            await self._tell_json({"type": "Ready", "streamId": decoder.stream_id})
        while not decoder.ended:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return _left(message)
            room = True
            for event in decoder.feed(_content(message)):
                if isinstance(event, Start):
                    self._stream = await self._open(event, limit)
                elif self._stream and not isinstance(event, Stop):
                    room = self._stream.write(event)
            if self._stream and not room:
                await self._stream.drain()
        return _Ending("stop", 1000)

    async def _open(self, start: Start, limit: asyncio.Timeout) -> CallStream:
        token = start.params.get("token", "")
        if not self._authorised and not token_is_authorised(self._endpoint, token.encode()):
            raise _unauthorised("no valid credential")
        if not self._app.stopping:  # which has just moved the limit to now
            limit.reschedule(None)
        params = {name: value for name, value in start.params.items() if name != "token"}

        def dismiss(refusal: Refused) -> None:
            self._dismissed = self._dismissed or refusal
            self._app.interrupt(limit)

        return await self._app.sink.open(replace(start, params=params, endpoint=self._endpoint.name), dismiss)

    async def _leave_stream(self, reason: str) -> None:
        """Write what the decoder still holds back, and close the stream."""
        stream, self._stream = self._stream, None
        if stream is None or self._decoder is None:
            return
        try:
            try:
                for event in self._decoder.finish(reason):
                    if isinstance(event, Audio | Gap):
                        stream.write(event)
            finally:
                await stream.close(reason)
        except Exception:
            logger.exception("media %s: a bug in the end of this stream", self._dialect)

    async def _leave_peer(self, ending: _Ending) -> None:
        if ending.code is None:
            return
        if self._dialect == "pcm" and ending.sentence:
            await self._tell_json({"type": "error", "message": ending.sentence})
        reason = ending.sentence.encode()[:LONGEST_REASON_BYTES].decode(errors="ignore")
        await self._tell({"type": "websocket.close", "code": ending.code, "reason": reason})

    async def _tell_json(self, value: dict[str, str]) -> None:
        await self._tell({"type": "websocket.send", "text": orjson.dumps(value).decode()})

    async def _tell(self, message: Message) -> None:
        """Send if the peer is still there; servers raise one or the other when it has gone."""
        with suppress(OSError, RuntimeError):
            await self._send(message)

    def _log(self, ending: _Ending) -> None:
        """One line for a stream that was refused or broke: never a token, a parameter or a payload."""
        if not ending.sentence or ending.code == 1011:
            return
        level = logging.INFO if ending.reason in ("close", "shutdown") else logging.WARNING
        answer = f"closed with {ending.code}: " if ending.code else ""
        why = f" ({ending.why})" if ending.why else ""
        logger.log(level, "media %s: %s%s%s", self._dialect, answer, ending.sentence, why)


def _route(path: str) -> tuple[str, str]:
    """Dialect (`unknown` if it is none) and endpoint of `/media/<dialect>/[<endpoint>/]`."""
    dialect, _, endpoint = path.partition("/media/")[2].partition("/")
    return dialect if dialect in _DIALECTS else "unknown", endpoint.strip("/")


def _requested_path(scope: Scope) -> str:
    """The path as it was requested, percent-encoded; `raw_path` is optional in ASGI."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.decode("latin-1").partition("?")[0]


def _left(message: Message) -> _Ending:
    """The peer's socket is gone: it said goodbye, which ends a call, or it did not, and may come back."""
    code = message.get("code")
    # uvicorn says 1005, "no code", of a broken connection, too; but only a close frame has a reason, maybe an empty one
    if code in _GOODBYES or (code == _NO_CODE and message.get("reason") is not None):
        return _Ending("close", None)
    return _Ending("lost", None, f"the connection ended with {code} before a stop")


def _unauthorised(why: str) -> Refused:
    # The same words for every cause: whoever has no credential learns nothing about which endpoints exist.
    return Refused(4401, "Unauthorised", why)


def _content(message: Message) -> str | bytes:
    text: str | None = message.get("text")
    content: str | bytes = message["bytes"] if text is None else text
    if len(content) > LARGEST_MESSAGE_BYTES:
        raise ProtocolError(1009, f"message of {len(content)} is over {LARGEST_MESSAGE_BYTES} bytes")
    return content
