"""How much a client may send, follow and leave unread; that a client which has gone is freed."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.alerts.test_subscribers import refusal, until_closed
from tests.conftest import Client, Connect
from tests.live import LiveServer, an_alert, bearer, watcher_token
from tests.socket.conftest import Connect2
from tests.socket.raw import RawSocket

TOO_MANY = (1008, "Too many messages")
MIB = 1024 * 1024
STALLED = 20


async def flood(client: Client, message: str, count: int) -> None:
    with contextlib.suppress(ConnectionClosed):
        for _ in range(count):
            await client.socket.send(message)


async def test_a_burst_of_messages_is_answered_and_a_flood_is_ended(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2()
    await flood(client, '{"type":"ping"}', 3000)
    frames, closed = await until_closed(client.socket)
    assert [frame["type"] for frame in frames[:200]] == ["pong"] * 200
    assert (frames[-1]["type"], frames[-1]["code"], closed) == ("error", "rate_limited", TOO_MANY)


async def test_a_flood_of_version_1_is_ended_without_a_frame(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe()
    await flood(client, '{"type":"ping"}', 3000)
    frames, closed = await until_closed(client.socket)
    assert ({frame["type"] for frame in frames}, closed) == ({"pong"}, TOO_MANY)


async def test_a_hundred_malformed_messages_are_answered_and_no_more(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2()
    await flood(client, "{", 101)
    frames, closed = await until_closed(client.socket)
    assert [frame["code"] for frame in frames] == ["bad_json"] * 100 + ["rate_limited"]
    assert closed == TOO_MANY


async def test_malformed_messages_of_version_1_are_counted_too(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe()
    await flood(client, "{", 101)
    assert await until_closed(client.socket) == ([], TOO_MANY)


async def test_the_original_kept_a_message_of_any_size_and_64_kib_is_the_end_here(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    client = await subscribe_2()
    await client.socket.send('{"type":"ping"}'.ljust(64 * 1024))
    assert (await client.receive())["type"] == "pong"
    await client.socket.send(b"x" * (64 * 1024 + 1))
    assert (await until_closed(client.socket))[1][0] == 1009


async def test_a_thousand_calls_may_be_followed_and_no_more(
    server: LiveServer, subscribe: Connect, subscribe_2: Connect2
) -> None:
    old, new = await subscribe(), await subscribe_2()
    for number in range(1000):
        for client in (old, new):
            await client.send(type="subscribe", callId=f"many-{number}")
        await asyncio.sleep(0.0201)  # within 50 messages a second
    assert [(await new.receive())["type"] for _ in range(1000)] == ["subscribed"] * 1000
    assert (await new.ask(type="subscribe", callId="one-more", ref="x"))["code"] == "too_many_calls"
    assert (await new.ask(type="subscribe", callId="many-7"))["type"] == "subscribed"
    await old.send(type="subscribe", callId="one-more")
    await old.settled()
    await asyncio.to_thread(server.post, an_alert("one-more"), an_alert("many-999"))
    assert (await new.receive())["callId"] == (await old.receive())["callId"] == "many-999"
    assert (await new.ask(type="unsubscribe", callId="many-7"))["type"] == "unsubscribed"
    assert (await new.ask(type="subscribe", callId="one-more"))["type"] == "subscribed"


async def test_a_reused_session_id_silences_no_socket_and_evades_no_limit(own_server: Any) -> None:
    server = own_server(ALERT_MAX_SUBSCRIBERS_PER_USER="2")
    options = {"additional_headers": bearer(watcher_token(name="ann"))}
    path = "/?sessionId=desk"
    async with connect(server.ws(path), **options) as first, connect(server.ws(path), **options) as second:
        for socket in (first, second):
            assert json.loads(await socket.recv())["payload"]["sessionId"] == "desk"
        assert await refusal(server, path, **options) == (1013, "Too many subscribers")
        await asyncio.to_thread(server.post, an_alert("desk-1"))
        for socket in (first, second):
            assert json.loads(await socket.recv())["callId"] == "desk-1"


async def test_many_who_come_at_once_do_not_pass_the_limit_together(own_server: Any) -> None:
    server = own_server(ALERT_MAX_SUBSCRIBERS="5", ALERT_MAX_SUBSCRIBERS_PER_USER="3")

    async def come(name: str) -> str:
        headers = bearer(watcher_token(name=name))
        socket = await sockets.enter_async_context(connect(server.ws("/?callId=here"), additional_headers=headers))
        try:
            return str(json.loads(await socket.recv())["type"])
        except ConnectionClosed:
            return f"{socket.close_code} {socket.close_reason}"

    async with contextlib.AsyncExitStack() as sockets:
        answers = await asyncio.gather(*(come("ann") for _ in range(20)))
        assert sorted(answers) == ["1013 Too many subscribers"] * 17 + ["connected"] * 3
        answers = await asyncio.gather(*(come(f"user-{number}") for number in range(20)))
        assert sorted(answers) == ["1013 Too many subscribers"] * 18 + ["connected"] * 2


def resident_bytes(server: LiveServer) -> int:
    """The memory that the server's process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


async def test_buffers_do_not_grow_for_clients_that_do_not_read_and_the_others_get_everything(
    own_server: Any, subscribe: Connect
) -> None:
    server: LiveServer = own_server(ALERT_COOLDOWN_MS="0")
    reader = await subscribe(path="/?callId=flood", to=server)

    async def post(megabytes: int) -> int:
        most = 0
        for _ in range(megabytes * 4):
            alerts = [an_alert("flood", data={"filler": "y" * 16_000}) for _ in range(16)]
            await asyncio.to_thread(server.post, *alerts)
            for _ in range(16):
                await reader.receive()
            most = max(most, resident_bytes(server))
        return most

    before = await post(40)  # the most that the process needs while nobody stalls
    with contextlib.ExitStack() as stalled:
        for _ in range(STALLED):
            stalled.enter_context(RawSocket(server, receive_buffer=4096)).upgrade("/?callId=flood")
        growth = await post(40) - before
    print(f"{STALLED} stalled clients, 40 MiB each: {growth / MIB:.1f} MiB more")
    assert growth < STALLED * 2 * MIB
    assert "could not be told to leave (4008 Too slow)" in server.log
    await reader.settled()


async def test_a_client_that_reads_too_late_is_told_why_or_cut_off(server: LiveServer, subscribe: Connect) -> None:
    reader = await subscribe(path="/?callId=slow-2")
    raw = await asyncio.to_thread(RawSocket(server, receive_buffer=4096).upgrade, "/?callId=slow-2")
    for batch in range(8):
        alerts = [an_alert("slow-2", kind=f"{batch} {kind}", data={"filler": "y" * 60_000}) for kind in range(16)]
        await asyncio.to_thread(server.post, *alerts)
        for _ in alerts:
            await reader.receive()
    with raw:
        payloads = await asyncio.to_thread(read_until_close, raw)
    print(f"{len(payloads) - 1} alerts, then {payloads[-1]!r}")
    assert payloads[-1] in (b"\x0f\xa8Too slow", b"")  # nothing where it took the server's five seconds to read on


def read_until_close(raw: RawSocket) -> list[bytes]:
    payloads = []
    with contextlib.suppress(AssertionError, ConnectionError):
        while True:
            opcode, payload = raw.frame()
            payloads.append(payload)
            if opcode == 0x8:
                return payloads
    return [*payloads, b""]


async def test_half_open_sockets_keep_their_place_no_longer_than_a_minute(own_server: Any) -> None:
    """One that answers no ping, and one for which something waits besides, so that no close could be flushed."""
    server: LiveServer = own_server(ALERT_MAX_SUBSCRIBERS_PER_USER="2", ALERT_COOLDOWN_MS="0")
    with (
        RawSocket(server, receive_buffer=4096).upgrade("/?callId=quiet"),
        RawSocket(server, receive_buffer=4096).upgrade("/?callId=busy"),
    ):
        for _ in range(6):
            await asyncio.to_thread(server.post, *(an_alert("busy", data={"x": "y" * 60_000}) for _ in range(10)))
        headers = bearer(watcher_token())
        assert await refusal(server, additional_headers=headers) == (1013, "Too many subscribers")
        started = time.monotonic()
        async with contextlib.AsyncExitStack() as sockets:
            free = 0
            while free < 2:
                await asyncio.sleep(1)
                socket = await sockets.enter_async_context(connect(server.ws("/"), additional_headers=headers))
                with contextlib.suppress(ConnectionClosed):
                    free += json.loads(await socket.recv())["type"] == "connected"
                if time.monotonic() - started > 120:
                    pytest.fail("a half-open socket still has its place")
        print(f"both places were free after {time.monotonic() - started:.0f} s")
