"""The greeting of a subscriber: it promises every alert from then on, so it waits until the hub serves the client."""

import asyncio
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from alerts.access import anybody
from alerts.consumers import AlertConsumer
from alerts.hub import Hub
from alerts.publish import Published
from alerts.subscriber import EARLY_AT_MOST, Subscriber
from tests.live import watcher_token

pytestmark = pytest.mark.django_db(transaction=True)
ALERT = Published("c", None, 1, "call_event", '{"id": "1"}')


async def test_who_is_greeted_is_served_and_what_came_before_comes_after_the_greeting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serves, served = asyncio.Event(), asyncio.Event()

    async def add(hub: Hub, subscriber: Subscriber, call_id: str | None = None) -> None:
        serves.set()
        subscriber.take(ALERT)
        await served.wait()

    monkeypatch.setattr(Hub, "add", add)
    headers = [(b"authorization", f"Bearer {watcher_token('c')}".encode()), (b"host", b"localhost")]
    client: Any = WebsocketCommunicator(AlertConsumer.as_asgi(), "/ws/alerts", headers)
    client.scope["user"] = None
    assert (await client.connect())[0]
    await asyncio.wait_for(serves.wait(), 10)
    assert await client.receive_nothing(0.2)
    served.set()
    assert (await client.receive_json_from(10))["type"] == "connected"
    assert await client.receive_json_from(10) == {"id": "1"}
    await client.disconnect()


async def test_who_would_have_to_wait_for_the_greeting_through_too_many_alerts_is_let_go() -> None:
    closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    sent: list[str] = []

    async def send(text: str) -> None:
        sent.append(text)

    async def close(code: int, reason: str) -> None:
        closed.set_result(code)

    subscriber = Subscriber(anybody(""), send, close, greeted=False)
    for _ in range(EARLY_AT_MOST + 1):
        subscriber.take(ALERT)
    subscriber.greet("the greeting")
    assert await asyncio.wait_for(closed, 10) == 4008
    await subscriber.drain()
    subscriber.drop()
    assert sent == []
