"""Snapshot, live stream and replay together are the table, however bad the layer is and whoever goes and comes back.

`VIEWS_SEED` repeats a run.
"""

import asyncio
import contextlib
import json
import os
import random
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser

from alerts import dispatch
from alerts.consumers import AlertConsumer
from alerts.hub import Hub
from alerts.models import Alert
from alerts.writer import now_ms
from tests.alerts.test_hub import an_alert

pytestmark = pytest.mark.django_db(transaction=True)
SEED = int(os.environ.get("VIEWS_SEED", random.randrange(2**32)))
CALLS = ("a", "b", "c", "")
STEPS = 100
LAYER = {"BACKEND": "tests.alerts.layers.BadLayer", "CONFIG": {"lost": 0.3, "doubled": 0.3, "late_s": 0.2}}
View = dict[str, tuple[int, str | None]]  # by alert: its highest version, and who acknowledged it
hub_of_connection: ContextVar[Hub] = ContextVar("hub_of_connection")


async def the_table(*calls: str) -> View:
    """Every sent alert of these calls."""
    sent = Alert.objects.filter(call__call_id__in=calls, suppressed=False)
    rows = await sync_to_async(lambda: list(sent.values_list("id", "version", "acknowledged_by")))()
    return {str(key): (version, by or None) for key, version, by in rows}


class Client:
    """A version 2 client of one call, or of every call, that keeps what it was shown while it is away."""

    def __init__(self, call_id: str | None, chance: random.Random) -> None:
        self.call_id = call_id
        self.calls = CALLS if call_id is None else (call_id,)
        self.chance = chance
        self.view: View = {}
        self.faults: list[str] = []
        self.last_seq = 0
        self.has_all_before = now_ms()
        self._in_order = False  # the stream of every call comes until what was asked for is answered
        self._asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._connection: asyncio.Task[None] | None = None

    async def come(self, hub: Hub) -> None:
        hub_of_connection.set(hub)
        self._in_order, self._asked = False, asyncio.Queue()
        self._asked.put_nowait({"type": "websocket.connect"})
        connection = {"type": "websocket", "path": "/", "query_string": b"v=2", "headers": [], "subprotocols": []}
        scope = connection | {"user": AnonymousUser()}
        self._connection = asyncio.create_task(AlertConsumer.as_asgi()(scope, self._asked.get, self._shown))
        away = {"since": self.has_all_before}
        if self.call_id is None:
            self._ask(type="resume", **away)
        else:
            self._ask(type="subscribe", callId=self.call_id, lastSeq=self.last_seq, **away)

    async def go(self) -> None:
        assert self._connection is not None
        self._asked.put_nowait({"type": "websocket.disconnect", "code": 1006})
        with contextlib.suppress(Exception):
            await self._connection

    async def look_at_the_table(self) -> None:
        """Begins anew with a snapshot."""
        self.has_all_before = now_ms()
        self.view = await the_table(*self.calls)
        own = Alert.objects.filter(id__in=self.view, call__call_id=self.call_id or "")
        seqs = await sync_to_async(lambda: list(own.values_list("seq", flat=True)))()
        self.last_seq = max((seq or 0 for seq in seqs), default=0)

    def _ask(self, **request: Any) -> None:
        self._asked.put_nowait({"type": "websocket.receive", "text": json.dumps(request)})

    async def _shown(self, event: Any) -> None:
        if event["type"] == "websocket.send":
            await asyncio.sleep(self.chance.choice((0, 0, 0, 0.002, 0.01)))
            self._look_at(json.loads(event["text"]))
        elif event["type"] != "websocket.accept":
            self.faults.append(f"{event}")

    def _look_at(self, frame: dict[str, Any]) -> None:
        if frame["type"] in ("subscribed", "resumed"):
            self._check(frame["recovered"], frame)
            self._in_order = True
        elif frame["type"] == "connected" or frame.get("alert", frame).get("callId", "") not in self.calls:
            pass  # alerts about no call come too, whatever is followed
        elif frame["type"] == "alert.updated":
            if self._in_order:
                self._check(frame["alert"]["id"] in self.view, frame)
            self._see(frame["alert"])
        else:
            if self._in_order and self.call_id is not None:
                self._check(frame["seq"] == self.last_seq + 1, frame)
                self.last_seq = frame["seq"]
            self._see(frame)

    def _check(self, right: bool, frame: dict[str, Any]) -> None:
        if not right:
            self.faults.append(f"after {self.last_seq}: {frame}")

    def _see(self, alert: dict[str, Any]) -> None:
        version = self.view.get(alert["id"], (0, None))[0]
        if alert["version"] >= version:
            self.view[alert["id"]] = (alert["version"], alert.get("acknowledgedBy"))


class World:
    """Two hubs as of two processes, alerts that are raised and acknowledged, clients that go and come back."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.hubs = [Hub(), Hub()]
        self.raised: list[UUID] = []
        self.clients = {
            Client(call_id, self.chance): place for place, call_id in enumerate(("a", "a", "b", None, None, None))
        }

    async def begin(self) -> None:
        for hub in self.hubs:
            hub.start()
        for client, place in self.clients.items():
            await client.come(self.hubs[place % 2])

    async def step(self) -> None:
        things = (self.raise_some, self.acknowledge, self.go_and_come_back, self.restart)
        await self.chance.choices(things, (60, 30, 9, 1))[0]()
        await asyncio.sleep(self.chance.choice((0, 0, 0.005, 0.02)))

    async def raise_some(self) -> None:
        reports = [an_alert(self.chance.choice(CALLS)) for _ in range(self.chance.choice((1, 1, 2, 12)))]
        self.raised += [stored.id for stored in await asyncio.wrap_future(dispatch.report(*reports))]

    async def acknowledge(self) -> None:
        if self.raised:
            await asyncio.wrap_future(dispatch.acknowledge(self.chance.choice(self.raised), "ann"))

    async def go_and_come_back(self) -> None:
        client = self.chance.choice(list(self.clients))
        await client.go()
        client.has_all_before = now_ms()
        for _ in range(self.chance.choice((0, 1, 10))):
            await self.chance.choice((self.raise_some, self.acknowledge))()
        if self.chance.random() < 0.2:
            await client.look_at_the_table()
        self.clients[client] = self.chance.randrange(2)
        await client.come(self.hubs[self.clients[client]])

    async def restart(self) -> None:
        place = self.chance.randrange(2)
        there = [client for client, at in self.clients.items() if at % 2 == place]
        for client in there:
            await client.go()
            client.has_all_before = now_ms()
        await self.hubs[place].stop()
        await self.raise_some()
        self.hubs[place] = Hub()
        self.hubs[place].start()
        for client in there:
            await client.come(self.hubs[place])

    async def end(self) -> None:
        for client in self.clients:
            await client.go()
        for hub in self.hubs:
            await hub.stop()
        await asyncio.to_thread(dispatch.close, 10)


@pytest.fixture
async def world(settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    settings.CHANNEL_LAYERS = {"default": LAYER}
    settings.ALERT_ENABLE_AUTH = False
    monkeypatch.setattr("alerts.consumers.the_hub", hub_of_connection.get)
    monkeypatch.setattr("alerts.hub.POLL_S", 0.2)
    monkeypatch.setattr("alerts.replay.MAX_WAITING", 5)  # so that more comes live than may wait
    monkeypatch.setattr("alerts.replay.PAGE", 3)
    monkeypatch.setattr("alerts.repair.MAX_ROWS", 10)
    print(f"VIEWS_SEED={SEED}")
    world = World(SEED)
    await world.begin()
    yield world
    await world.end()


async def test_what_clients_were_shown_is_what_is_stored(world: World) -> None:
    for _ in range(STEPS):
        await world.step()
    tables = {calls: await the_table(*calls) for calls in {client.calls for client in world.clients}}
    for client in world.clients:
        assert client.faults == []
        for _ in range(600):
            if client.view != tables[client.calls]:
                await asyncio.sleep(0.05)
        assert client.view == tables[client.calls]
    assert len(world.raised) > STEPS
