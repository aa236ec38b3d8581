"""Faults of the original that concern deliveries and the end of the server."""

import asyncio
import time
from typing import Any

import pytest

from tests.conftest import Connect
from tests.live import LiveServer, an_alert, publisher_token
from tests.socket.conftest import Connect2
from tests.socket.raw import RawSocket, handshake

BAD_DATA = {
    "a number of 21 digits": b'{"n": 100000000000000000000}',
    "a number beyond all": b'{"n": 1e999}',
    "half a surrogate pair": b'{"n": "\\ud800"}',
    "a NUL": b'{"n": ["\\u0000"]}',
    "a NUL after a backslash": b'{"n": "\\\\\\u0000"}',
    "a nest of 300 lists": b'{"n": ' + b"[" * 300 + b"]" * 300 + b"}",
}


@pytest.mark.parametrize("data", BAD_DATA.values(), ids=BAD_DATA)
async def test_one_unserialisable_alert_aborted_the_fan_out_and_is_refused_here(
    server: LiveServer, subscribe: Connect, subscribe_2: Connect2, data: bytes
) -> None:
    clients = [await subscribe(path="/?callId=encode-1"), await subscribe_2(path="/?callId=encode-1")]
    await clients[1].receive()
    bad = b'[{"type":"anomaly","severity":"low","title":"t","message":"m","callId":"encode-1","data":%s}]' % data
    status, answer = await asyncio.to_thread(server.call, "POST", "/api/v1/alerts/", bad, publisher_token())
    assert (status, list(answer["0"])) == (400, ["data"])
    good = an_alert("encode-1", kind=str(time.time_ns()), data={"text": "\\u0000 é 😀", "n": 2**63})
    await asyncio.to_thread(server.post, good)
    for client in clients:
        assert (await client.receive())["data"] == good["data"]


async def test_stop_could_hang_and_does_not_for_clients_that_neither_read_nor_answer(own_server: Any) -> None:
    server: LiveServer = own_server(ALERT_COOLDOWN_MS="0")
    with (
        RawSocket(server, receive_buffer=4096).upgrade("/?callId=deaf"),
        RawSocket(server) as half,
    ):
        half.send(handshake()[:50])
        for _ in range(60):
            await asyncio.to_thread(server.post, an_alert("deaf", data={"filler": "y" * 60_000}))
        assert await asyncio.to_thread(server.stop) == 0
