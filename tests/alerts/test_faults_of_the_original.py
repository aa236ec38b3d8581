"""Faults of the server that this one takes the place of that lost, doubled or misworded alerts, each tried on this one.

Those of its rights are in tests/rights, those of its sockets and its end in tests/socket.
"""

import asyncio
import json
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import connect

from alerts.wording import for_event
from tests.conftest import Connect
from tests.live import MEDIA_TOKEN, LiveServer, an_alert, bearer, watcher_token
from tests.socket.conftest import V2


@pytest.fixture
def call_id() -> str:
    return f"fault-{uuid.uuid4().hex}"


def history(server: LiveServer, call_id: str) -> list[dict[str, Any]]:
    """Every alert of the call that REST shows, newest first."""
    path, alerts = f"/api/v1/alerts/?callId={call_id}&pageSize=500", []
    while path:
        status, page = server.call("GET", path, token=watcher_token())
        assert status == 200, page
        alerts += page["results"]
        path = (page["next"] or "").partition(f":{server.port}")[2]
    return alerts


async def test_history_had_one_row_and_a_different_id_per_receiver(
    server: LiveServer, subscribe: Connect, call_id: str
) -> None:
    clients = [await subscribe(path=f"/?callId={call_id}") for _ in range(3)]
    [posted] = await asyncio.to_thread(server.post, an_alert(call_id))
    assert [(await client.receive())["id"] for client in clients] == [posted["id"]] * 3
    assert [alert["id"] for alert in history(server, call_id)] == [posted["id"]]


def test_history_had_nothing_without_subscribers_and_500_places_in_memory(server: LiveServer, call_id: str) -> None:
    kinds = [str(number) for number in range(1001)]
    for some in (kinds[:501], kinds[501:]):
        server.post(*(an_alert(call_id, kind=kind) for kind in some))
    assert [alert["kind"] for alert in history(server, call_id)] == kinds[::-1]


NO_REPEATS = {
    "a critical alert after a low one": [{"severity": "low"}, {"severity": "critical"}],
    "an interrupt after a silence": [{"kind": "silence", "severity": "high"}, {"kind": "interrupt", "severity": "low"}],
    "a second summary": [{"type": "call_summary", "kind": "summary", "severity": "info"}] * 2,
}


@pytest.mark.parametrize("alerts", NO_REPEATS.values(), ids=NO_REPEATS)
async def test_its_cooldown_lost(
    server: LiveServer, subscribe: Connect, call_id: str, alerts: list[dict[str, Any]]
) -> None:
    client = await subscribe(path=f"/?callId={call_id}")
    posted = await asyncio.to_thread(server.post, *(an_alert(call_id, **alert) for alert in alerts))
    assert [(await client.receive())["id"] for _ in alerts] == [one["id"] for one in posted]


def test_a_silence_of_3000_ms_read_3000000ms() -> None:
    silence = {"type": "silence", "timestamp": 0, "duration": 3000, "severity": "low", "metadata": {}}
    assert for_event(silence).message == "Silence detected for 3000ms"


async def test_connection_and_disconnection_were_declared_and_never_used(server: LiveServer, call_id: str) -> None:
    headers = bearer(watcher_token())
    async with connect(server.ws(f"/?callId={call_id}"), additional_headers=headers, subprotocols=V2) as subscriber:
        path = f"/media/pcm/?call_id={call_id}"
        async with connect(server.ws(path), additional_headers=bearer(MEDIA_TOKEN)) as phone:
            await phone.send(bytes(1600))
        told = []
        while "disconnection" not in told:
            told.append(json.loads(await asyncio.wait_for(subscriber.recv(), 60))["type"])
    assert [type_ for type_ in told if type_ in ("connection", "disconnection")] == ["connection", "disconnection"]


async def test_call_correlation_was_declared_and_never_used(
    server: LiveServer, subscribe: Connect, call_id: str
) -> None:
    client = await subscribe(path=f"/?callId={call_id}")
    first, _ = await asyncio.to_thread(server.post, an_alert(call_id), an_alert(call_id, type="anomaly", kind="echo"))
    assert [(await client.receive())["correlationId"] for _ in range(2)] == [first["id"]] * 2
