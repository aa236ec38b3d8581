"""Phone systems' sockets, on a real server: who is heard, who is refused with what, and what is kept."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from analysis.ingest.auth import twilio_signature
from analysis.ingest.events import Audio, Gap
from analysis.media import LARGEST_MESSAGE_BYTES, MediaApp, Refused
from tests.ingest.peers import FRAME, TWILIO_CONNECTED, TWILIO_STOP, heard, twilio_media, twilio_start, voice
from tests.ingest.servers import PUBLIC_URL, TOKEN, KeptStreams, serving

BEARER = {"Authorization": f"Bearer {TOKEN}"}
START = twilio_start(customParameters={"token": TOKEN, "tenant": "t1"})


@asynccontextmanager
async def listening(
    sink: KeptStreams | None = None, *, token: str = TOKEN, start_within_s: float = 10.0
) -> AsyncIterator[tuple[str, KeptStreams, MediaApp]]:
    sink = sink or KeptStreams()
    app = MediaApp(sink, token, PUBLIC_URL, start_within_s=start_within_s)
    async with serving(app) as address:
        yield address, sink, app


def dialled(address: str, path: str, headers: dict[str, str] | None = None) -> connect:
    return connect(address + path, additional_headers=headers, compression=None, proxy=None, max_size=None)


async def closed_with(socket: ClientConnection) -> tuple[int, str]:
    """Read up to the server's close: its code and reason."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def refusal(address: str, path: str, headers: dict[str, str], messages: list[Any]) -> tuple[int, str]:
    async with dialled(address, path, headers) as socket:
        try:
            for message in messages:
                await socket.send(message)
        except ConnectionClosed:
            pass  # the answer to an earlier message
        return await closed_with(socket)


async def a_whole_call_is_heard(address: str, sink: KeptStreams, call_id: str = "CA-other") -> None:
    frames = voice(5)
    start = twilio_start(callSid=call_id, customParameters={"token": TOKEN})
    async with dialled(address, "/media/twilio/") as socket:
        for message in (start, *(twilio_media(n, data) for n, data in enumerate(frames, 1)), TWILIO_STOP):
            await socket.send(message)
        assert await closed_with(socket) == (1000, "")
    stream = await sink.stream(call_id)
    assert heard(stream.events) == b"".join(frames)
    assert stream.closed_with == ["stop"]


async def test_a_twilio_call_with_its_token_in_the_start_is_heard_to_its_stop() -> None:
    async with listening() as (address, sink, _), dialled(address, "/media/twilio/") as socket:
        frames = [
            twilio_media(n, data, track=track)
            for n, data in enumerate(voice(9), 1)
            for track in ("inbound", "outbound")
        ]
        for message in (TWILIO_CONNECTED, START, *frames, TWILIO_STOP):
            await socket.send(message)
        assert await closed_with(socket) == (1000, "")
        (stream,) = sink.streams
        assert heard(stream.events, 0) == heard(stream.events, 1) == b"".join(voice(9))
        assert stream.start.channels == ("caller", "agent")
        assert stream.start.params == {"tenant": "t1"}
        assert stream.closed_with == ["stop"]


@pytest.mark.parametrize("path", ["/media/twilio/", "/media/twilio"])
async def test_a_twilio_call_with_its_signature_is_heard(path: str) -> None:
    signature = twilio_signature(TOKEN, "wss://alerts.example.com/media/twilio/").decode()
    async with (
        listening() as (address, sink, _),
        dialled(address, path, {"X-Twilio-Signature": signature}) as socket,
    ):
        for message in (twilio_start(), twilio_media(1, b"abc"), TWILIO_STOP):
            await socket.send(message)
        assert await closed_with(socket) == (1000, "")
        assert heard(sink.streams[0].events) == b"abc"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/media/pcm/?call_id=c1", BEARER),
        (f"/media/pcm/?call_id=c1&token={TOKEN}", {}),
        ("/media/pcm?call_id=c1", BEARER),
    ],
)
async def test_raw_audio_is_heard_and_told_when_it_may_begin(path: str, headers: dict[str, str]) -> None:
    async with listening() as (address, sink, _), dialled(address, path, headers) as socket:
        ready = json.loads(await socket.recv())
        for message in (b"abc", b"", b"defgh", '{"type":"KeepAlive"}', '{"type":"CloseStream"}'):
            await socket.send(message)
        assert await closed_with(socket) == (1000, "")
        (stream,) = sink.streams
        assert ready == {"type": "Ready", "streamId": stream.start.stream_id}
        assert (stream.start.call_id, heard(stream.events, None)) == ("c1", b"abcdefgh")
        assert stream.start.params == {}
        assert stream.closed_with == ["stop"]


@pytest.mark.parametrize(
    ("path", "headers", "messages"),
    [
        ("/media/twilio/", {}, [twilio_start()]),
        ("/media/twilio/", {}, [twilio_start(customParameters={"token": "wrong"})]),
        ("/media/twilio/", {"X-Twilio-Signature": "wr\u00f6ng"}, [twilio_start()]),
        (f"/media/twilio/?token={TOKEN}", {}, [twilio_start()]),
        ("/media/pcm/", {}, []),
        ("/media/pcm/?token=wrong", {}, []),
        ("/media/pcm/", {"Authorization": "Bearer wr\u00f6ng"}, []),
        ("/media/pcm/shop/", BEARER, []),
        ("/media/carrier-pigeon/", BEARER, []),
        ("/media/", BEARER, []),
    ],
)
async def test_without_a_credential_nothing_is_opened(path: str, headers: dict[str, str], messages: list[str]) -> None:
    async with listening() as (address, sink, _):
        assert await refusal(address, path, headers, messages) == (4401, "Unauthorised")
        assert sink.streams == []


@pytest.mark.parametrize(("path", "headers"), [("/media/twilio/", {}), ("/media/pcm/", {"Authorization": "Bearer "})])
async def test_without_a_configured_token_everybody_is_refused(path: str, headers: dict[str, str]) -> None:
    async with listening(token="") as (address, _, _):
        assert await refusal(address, path, headers, []) == (4401, "Unauthorised")


@pytest.mark.parametrize(
    ("path", "messages", "code", "named"),
    [
        ("/media/twilio/", ["{"], 1003, "text frame is not JSON"),
        ("/media/twilio/", [b"\x00"], 1003, "binary frame of 1 bytes"),
        ("/media/twilio/", [twilio_media(1, b"x")], 1008, "media before start"),
        ("/media/twilio/", [START, START], 1008, "second start"),
        ("/media/twilio/", [START, twilio_media(1, "*")], 1003, "media.payload of chunk 1 is not base64"),
        ("/media/twilio/", [START, "x" * (LARGEST_MESSAGE_BYTES + 1)], 1009, "1048577"),
        ("/media/twilio/", [twilio_start(mediaFormat={"encoding": "opus"})], 1003, "'opus'"),
        ("/media/pcm/?encoding=opus", [], 1003, "encoding 'opus'"),
        ("/media/pcm/?channels=7", [], 1008, "channels is '7'"),
        ("/media/pcm/", [b"ab", '{"type":"start"}'], 1008, "start after the stream has started"),
        ("/media/pcm/", ["nothing"], 1003, "text frame is not JSON"),
        ("/media/pcm/", [b"x" * (LARGEST_MESSAGE_BYTES + 1)], 1009, "1048577"),
    ],
)
async def test_what_cannot_be_gone_on_from_closes_that_socket_alone(
    path: str, messages: list[Any], code: int, named: str
) -> None:
    async with listening() as (address, sink, _):
        closed_code, reason = await refusal(address, path, BEARER, messages)
        assert closed_code == code
        assert named in reason
        assert all(stream.closed_with == ["error"] for stream in sink.streams)
        await a_whole_call_is_heard(address, sink)


async def test_raw_audio_is_told_its_error_in_words_before_the_close() -> None:
    async with listening() as (address, _, _), dialled(address, "/media/pcm/?sample_rate=1", BEARER) as socket:
        error = json.loads(await socket.recv())
        code, reason = await closed_with(socket)
        assert error == {"type": "error", "message": reason}
        assert code == 1008
        assert "sample_rate is 1 Hz" in reason


async def test_a_long_sentence_is_cut_to_what_a_close_frame_holds() -> None:
    event = '{"event":"media","media":{"track":"inbound","chunk":"%s"}}' % ("7" * 300)
    async with listening() as (address, _, _):
        code, reason = await refusal(address, "/media/twilio/", BEARER, [START, event])
        assert code == 1003
        assert len(reason.encode()) <= 123


async def test_a_socket_without_a_start_is_closed() -> None:
    async with listening(start_within_s=0.05) as (address, _, _):
        for path in ("/media/twilio/", "/media/pcm/"):
            assert await refusal(address, path, BEARER, []) == (4408, "No start within 0.05 s")


async def test_a_started_stream_may_pause_for_longer_than_a_start_may_take() -> None:
    async with listening(start_within_s=1.0) as (address, sink, _), dialled(address, "/media/pcm/", BEARER) as socket:
        await socket.send(b"ab")
        await asyncio.sleep(1.2)
        await socket.send(b"cd")
        await socket.send('{"type":"CloseStream"}')
        assert await closed_with(socket) == (1000, "")
        assert heard(sink.streams[0].events, None) == b"abcd"


async def test_a_full_server_refuses_with_its_own_words() -> None:
    async with listening(KeptStreams(places=0)) as (address, _, _):
        assert await refusal(address, "/media/twilio/", {}, [START]) == (1013, "Too many calls")


async def test_what_was_heard_before_an_error_is_kept() -> None:
    async with listening() as (address, sink, _):
        messages = [START, twilio_media(1, b"a" * FRAME), twilio_media(3, b"c" * FRAME), "{"]
        assert (await refusal(address, "/media/twilio/", {}, messages))[0] == 1003
        (stream,) = sink.streams
        assert stream.events == [Audio(b"a" * FRAME, 0), Gap(FRAME, "lost", 0), Audio(b"c" * FRAME, 0)]
        assert stream.closed_with == ["error"]


async def end_with_a_close(socket: ClientConnection) -> None:
    await socket.close()


async def end_with_a_reset(socket: ClientConnection) -> None:
    socket.transport.abort()


async def end_with_a_close_of_no_code(socket: ClientConnection) -> None:
    socket.transport.write(bytes([0x88, 0x80, 0, 0, 0, 0]))


async def end_with_a_failure(socket: ClientConnection) -> None:
    await socket.close(1011)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (end_with_a_close, "close"),
        (end_with_a_close_of_no_code, "close"),
        (end_with_a_failure, "lost"),
        (end_with_a_reset, "lost"),
    ],
)
async def test_what_was_heard_before_the_peer_vanished_is_kept(
    end: Callable[[ClientConnection], Any], reason: str
) -> None:
    async with listening() as (address, sink, _), dialled(address, "/media/twilio/") as socket:
        await socket.send(START)
        await socket.send(twilio_media(2, b"held back"))
        stream = await sink.stream("CA0001")
        await (await socket.ping())
        await end(socket)
        await stream.ended.wait()
        assert heard(stream.events) == b"held back"
        assert stream.closed_with == [reason]


async def test_a_socket_that_its_call_has_no_use_for_is_closed_as_told() -> None:
    async with listening() as (address, sink, _), dialled(address, "/media/pcm/?call_id=c1", BEARER) as socket:
        await socket.send(b"heard")
        stream = await sink.stream("c1")
        for reason in ("told first", "told again"):
            stream.dismiss(Refused(1008, reason))
        assert await closed_with(socket) == (1008, "told first")
        await stream.ended.wait()
        stream.dismiss(Refused(1008, "it has gone"))
        assert stream.closed_with == ["error"]


async def test_a_bug_ends_the_stream_that_hit_it_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as (address, sink, _), dialled(address, "/media/pcm/?call_id=c1", BEARER) as other:
        await other.send(b"before")
        assert await refusal(address, "/media/pcm/?call_id=c2", BEARER, [b"BUG!"]) == (1011, "Internal error")
        await other.send(b"after!")
        await other.send('{"type":"CloseStream"}')
        assert await closed_with(other) == (1000, "")
        assert (await sink.stream("c2")).closed_with == ["error"]
        assert heard((await sink.stream("c1")).events, None) == b"beforeafter!"
    faults = [record for record in caplog.records if record.exc_info]
    assert len(faults) == 1


async def test_a_call_that_takes_no_more_stalls_its_sender_and_nobody_else() -> None:
    capacity, message, count = 100_000, bytes(50_000), 600
    async with (
        listening(KeptStreams(capacity=capacity)) as (address, sink, _),
        dialled(address, "/media/pcm/?call_id=slow", BEARER) as socket,
    ):

        async def send_all() -> None:
            for _ in range(count):
                await socket.send(message)
            await socket.send('{"type":"CloseStream"}')

        sending = asyncio.create_task(send_all())
        stream = await sink.stream("slow")
        await a_whole_call_is_heard(address, sink)
        await asyncio.wait({sending}, timeout=0.5)
        assert not sending.done()
        assert stream.size <= capacity + len(message)
        stream.release()
        await sending
        assert await closed_with(socket) == (1000, "")
        assert stream.size == count * len(message)


async def test_shutdown_tells_every_stream_and_peer_and_refuses_new_ones() -> None:
    async with listening(KeptStreams(capacity=10)) as (address, sink, app):
        async with (
            dialled(address, "/media/twilio/") as running,
            dialled(address, "/media/pcm/?call_id=c1", BEARER) as stalled,
            dialled(address, "/media/twilio/") as not_started,
        ):
            await running.send(START)
            await running.send(twilio_media(3, b"held"))
            await running.send(twilio_media(1, b"first", timestamp_ms=40))
            await stalled.send(bytes(100))
            streams = [await sink.stream("CA0001"), await sink.stream("c1")]
            for stream in streams:
                await stream.written.wait()
            await (await not_started.ping())
            await app.shutdown()
            assert [stream.closed_with for stream in streams] == [["shutdown"], ["shutdown"]]
            assert heard(streams[0].events) == b"firstheld"
            for socket in (running, stalled, not_started):
                assert await closed_with(socket) == (1001, "Server shutting down")
        assert await refusal(address, "/media/pcm/", BEARER, []) == (1013, "Server shutting down")


async def test_neither_tokens_nor_parameters_nor_payloads_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="analysis")
    secrets = {"token": TOKEN, "customer": "Ada"}
    async with listening() as (address, _, _):
        await refusal(
            address, "/media/twilio/", {}, [twilio_start(customParameters=secrets), twilio_media(1, "s3cret*")]
        )
        await refusal(address, "/media/pcm/?token=wr0ng&customer=Ada", {}, [])
        await refusal(address, "/media/wr0ng%0Adialect/", BEARER, [])
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("analysis")]
    assert len(lines) == 3
    assert not any(secret in line for line in lines for secret in (TOKEN, "Ada", "s3cret", "token=", "\n"))
