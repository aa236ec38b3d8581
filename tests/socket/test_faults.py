"""Faults of the original that concern deliveries and the end of the server."""

import asyncio
import time
from typing import Any

import pytest

from tests.conftest import Connect
from tests.live import LiveServer, an_alert, publisher_token
from tests.socket.conftest import Connect2
from tests.socket.raw import RawSocket, handshake

ODD_DATA = {
    "a number of 21 digits": (b'{"n": 100000000000000000000}', 201),
    "a number beyond all": (b'{"n": 1e999}', 400),
    "half a surrogate pair": (b'{"n": "\\ud800"}', 400),
    "a NUL": (b'{"n": ["\\u0000"]}', 400),
    "what only looks like a NUL": (b'{"n": "\\\\u0000"}', 201),
    "a nest of 300 lists": (b'{"n": ' + b"[" * 300 + b"]" * 300 + b"}", 400),
}


@pytest.mark.parametrize(("data", "status"), ODD_DATA.values(), ids=ODD_DATA)
async def test_one_unserialisable_alert_aborted_the_fan_out_and_is_refused_here(
    server: LiveServer, subscribe: Connect, subscribe_2: Connect2, data: bytes, status: int
) -> None:
    call_id = f"encode-{time.time_ns()}"
    clients = [await subscribe(path=f"/?callId={call_id}"), await subscribe_2(path=f"/?callId={call_id}")]
    await clients[1].receive()
    about = b'"type":"anomaly","severity":"low","title":"t","message":"m","callId":"%s"' % call_id.encode()
    posted = b"{%s,%s}" % (about, b'"data":' + data)
    assert (await asyncio.to_thread(server.call, "POST", "/api/v1/alerts/", posted, publisher_token()))[0] == status
    await asyncio.to_thread(server.post, an_alert(call_id, kind="after"))
    for client in clients:
        received = [await client.receive() for _ in range(2 if status == 201 else 1)]
        assert received[-1]["kind"] == "after"


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
