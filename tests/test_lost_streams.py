"""Streams that go quiet or break, on real sockets: the call is told to be lost, waits, and goes on or ends."""

import logging
import re
from collections.abc import Iterator

import pytest
from channels.db import database_sync_to_async

from alerts.models import Alert, Call
from alertsite.player import encode_mulaw
from analysis.findings import State
from tests.analysis.voices import RATE_HZ, Samples, bank_of, call
from tests.ingest.peers import FRAME, FRAME_MS, twilio_media, twilio_start
from tests.ingest.servers import TOKEN
from tests.phones import close_code, hang_up, hearing, over, say, stream_alerts, told, until

PART = call(6000, [(500, 2500), (4000, 5500)], [(1500, 3500)])  # has an overlap and an interruption

pytestmark = pytest.mark.usefixtures("_writing")


@database_sync_to_async
def events() -> set[tuple[str, str, int]]:
    """Type, channel and start of what was heard, held back or not."""
    found = [alert.data["event"] for alert in Alert.objects.filter(call__call_id="c", type="call_event")]
    return {(event["type"], event["channel"], event["timestamp"]) for event in found}


def twilio_frames(samples: Samples) -> Iterator[str]:
    """A whole stream of both tracks, from its start to before its stop."""
    yield twilio_start(callSid="c", customParameters={"token": TOKEN})
    for chunk in range(len(samples) // FRAME):
        for channel, track in enumerate(("inbound", "outbound")):
            data = encode_mulaw(samples[chunk * FRAME : (chunk + 1) * FRAME, channel])
            yield twilio_media(chunk + 1, data, track=track, timestamp_ms=chunk * FRAME_MS)


def heard_offline(gap_ms: int) -> set[tuple[str, str, int]]:
    """What is in both parts of a call with a gap between them."""
    bank = bank_of("c")
    bank.push("c", PART)
    bank.gap("c", gap_ms * RATE_HZ // 1000)
    bank.push("c", PART)
    found = bank.close("c")
    return {(f.event.type, f.event.channel, f.event.timestamp) for f in found if f.state is State.CLOSED}


async def test_a_call_whose_connection_broke_goes_on_in_another_stream_and_format_with_a_gap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="alertsite")
    async with hearing() as (dial, _):
        async with dial() as first:
            await say(first, PART)
            first.transport.abort()
        await told("started", "lost")
        assert await Call.objects.filter(call_id="c", active=True).aexists()
        async with dial(dialect="twilio") as second:
            for frame in twilio_frames(PART):
                await second.send(frame)
            await second.send('{"event":"stop"}')
            assert await close_code(second) == 1000
        await over()
    assert await stream_alerts() == [
        ("started", ""),
        ("lost", "its connection broke"),
        ("started", "resumed"),
        ("ended", "stop"),
    ]
    lost = await Alert.objects.aget(kind="lost")
    assert (lost.severity, lost.actionable, lost.ended_at is not None) == (3, True, True)
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("call c ended")]
    missing = re.search(r"missing (\d+)/\1 ms", line)
    assert missing, line
    live, offline = sorted(await events()), sorted(heard_offline(int(missing[1])))
    assert len(offline) >= 4
    assert [one[:2] for one in live] == [one[:2] for one in offline]
    for (*_, start_live), (*_, start_offline) in zip(live, offline, strict=True):
        assert abs(start_live - start_offline) <= FRAME_MS


async def test_a_call_that_no_stream_comes_back_to_ends() -> None:
    async with hearing(resume_s=0.2) as (dial, heard):
        async with dial() as socket:
            await say(socket, PART)
            socket.transport.abort()
        await over()
        assert heard.call_ids() == []
    assert await stream_alerts() == [("started", ""), ("lost", "its connection broke"), ("ended", "lost")]
    assert not await Alert.objects.filter(type="call_event", ended_at__isnull=True).aexists()


async def test_a_call_that_ended_may_be_heard_again_as_a_new_one() -> None:
    async with hearing(resume_s=0.1) as (dial, _):
        for times in (1, 2):
            async with dial() as socket:
                await say(socket, PART[:800])
                socket.transport.abort()
            await told(*["started", "lost", "ended"] * times)


@pytest.mark.parametrize("dialect", ["pcm", "twilio"])
async def test_a_stream_that_falls_silent_is_lost_once_and_found_when_it_speaks(dialect: str) -> None:
    quiet = {"continuous_s": 0.2} if dialect == "twilio" else {"held_s": 0.2}
    audio = [PART[:800].astype("<i2").tobytes()] * 3 if dialect == "pcm" else list(twilio_frames(PART[:800]))
    async with hearing(**quiet) as (dial, _), dial(dialect=dialect) as socket:
        await socket.send(audio[0])
        await socket.send(audio[1])
        await told("started", "lost")
        await socket.send(audio[2])
        await told("started", "lost", "started", "lost")
    assert (await stream_alerts())[:3] == [("started", ""), ("lost", "no audio for 0.2 s"), ("started", "resumed")]


async def test_a_held_stream_may_be_silent_where_a_continuous_one_may_not() -> None:
    async with hearing(continuous_s=0.1) as (dial, _), dial() as held, dial(dialect="twilio") as continuous:
        await say(held, PART[:800])
        await continuous.send(twilio_start(callSid="other", customParameters={"token": TOKEN}))

        async def is_lost() -> bool:
            return ("lost", "no audio for 0.1 s") in await stream_alerts("other")

        await until(is_lost)
        assert await stream_alerts() == [("started", "")]


async def test_raw_audio_that_comes_after_a_silence_is_heard_at_its_time() -> None:
    async with hearing(held_s=0.3) as (dial, _), dial() as socket:
        await say(socket, PART)
        await told("started", "lost")
        await say(socket, PART)
        await hang_up(socket)
        await over()
        first = min(start for _, _, start in await events())
        second = min(start for _, _, start in await events() if start > len(PART) * 1000 // RATE_HZ + first)
        assert second - first >= 6000 + 300 - FRAME_MS


async def test_the_socket_of_a_call_that_was_silent_for_too_long_is_closed() -> None:
    async with hearing(held_s=0.1, resume_s=0.1) as (dial, _), dial() as socket:
        await say(socket, PART[:800])
        assert await close_code(socket) == 4408
        await over()
    assert [kind for kind, _ in await stream_alerts()] == ["started", "lost", "ended"]


@pytest.mark.parametrize(("patience", "reason"), [({"held_s": 0.1}, "no audio"), ({"another_s": 0}, "another stream")])
async def test_another_stream_takes_over_from_one_that_is_silent(patience: dict[str, float], reason: str) -> None:
    async with hearing(**patience) as (dial, _), dial() as silent, dial() as another:
        await say(silent, PART[:800])
        await told("started", "lost") if "held_s" in patience else await told("started")
        await say(another, PART[:800])
        assert await close_code(silent) == 1008
        await another.send('{"type":"CloseStream"}')
        assert await close_code(another) == 1000
        await over()
    (_, (lost, why), *rest) = await stream_alerts()
    assert lost == "lost"
    assert why.startswith(reason)
    assert rest[-1] == ("ended", "stop")


async def test_another_stream_is_refused_while_the_first_one_speaks() -> None:
    async with hearing() as (dial, _), dial() as first:
        await say(first, PART[:800])
        await told("started")
        async with dial() as second:
            await second.send(bytes(320))
            assert await close_code(second) == 1008


async def test_a_stream_with_other_channels_is_refused_and_the_call_goes_on_waiting() -> None:
    async with hearing() as (dial, _):
        async with dial() as first:
            await say(first, PART[:800])
            first.transport.abort()
        await told("started", "lost")
        async with dial("call_id=c&channels=1") as mono:
            await mono.send(bytes(320))
            assert await close_code(mono) == 1003
            assert "mixed" in (mono.close_reason or "")
        async with dial() as third:
            await say(third, PART[:800])
            await told("started", "lost", "started")


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_socket_that_says_goodbye_ends_its_call_at_once(code: int) -> None:
    async with hearing() as (dial, _), dial() as socket:
        await say(socket, PART[:800])
        await socket.close(code)
        await over()
    assert [kind for kind, _ in await stream_alerts()] == ["started", "ended"]


async def test_calls_that_wait_for_a_stream_end_when_the_server_stops() -> None:
    async with hearing() as (dial, heard):
        async with dial() as socket:
            await say(socket, PART)
            socket.transport.abort()
        await told("started", "lost")
        await heard.stop()
        await over()
    assert (await stream_alerts())[-1] == ("ended", "shutdown")
