"""Two real processes on PostgreSQL and Redis, both restarted, Redis killed; clients that go and come back meanwhile.

What each was shown, live and again, is what is stored. `VIEWS_SEED` repeats the choices of a run.
"""

import asyncio
import contextlib
import json
import random
import signal
import time
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.alerts.test_views import SEED
from tests.live import LiveServer, bearer
from tests.production.conftest import Make
from tests.production.test_processes import post_some
from tests.rights.tokens import forged
from tests.services import Postgres, Redis
from tests.socket.conftest import V2

ROUNDS, A_ROUND = 3, 12
CALLS = ("a", "b")
View = dict[str, tuple[int, str | None]]  # by alert: its highest version, and who acknowledged it


class Client:
    """Follows one call, or every call, on one server or the other; it goes when it likes, and when a server stops."""

    def __init__(self, servers: list[LiveServer], call_id: str | None, chance: random.Random) -> None:
        self.servers = servers
        self.calls = CALLS if call_id is None else (call_id,)
        self.chance = chance
        self.view: View = {}
        self.last_seq = 0
        self.faults: list[Any] = []
        self._call_id = call_id
        self._left_at = int(time.time() * 1000)
        self._answered = False
        self._leaving = True

    async def come_and_go(self) -> None:
        """Until cancelled."""
        token = forged(sub="ann", scope="subscribe acknowledge")
        while True:
            server = self.chance.choice(self.servers)
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(server.ws("/"), additional_headers=bearer(token), subprotocols=V2) as socket:
                    await self._come_back(socket)
                    async with asyncio.timeout(self.chance.uniform(0.2, 1.5) if self._leaving else None):
                        async for text in socket:
                            await self._look_at(socket, json.loads(text))
            self._left_at = int(time.time() * 1000)
            await asyncio.sleep(self.chance.uniform(0, 0.3))

    def stay(self) -> None:
        """From the next time on it does not leave by itself."""
        self._leaving = False

    async def _come_back(self, socket: ClientConnection) -> None:
        self._answered = False
        request: dict[str, Any] = {"type": "resume", "since": self._left_at}
        if self._call_id is not None:
            request |= {"type": "subscribe", "callId": self._call_id, "lastSeq": self.last_seq}
        await socket.send(json.dumps(request))

    async def _look_at(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        if frame["type"] in ("subscribed", "resumed"):
            self._answered = True
            self._check(frame["recovered"], frame)
        elif frame["type"] == "call_event":
            if self._answered and self._call_id is not None:
                self._check(frame["seq"] == self.last_seq + 1, frame)
                self.last_seq = frame["seq"]
            self._see(frame)
            if self.chance.random() < 0.05:
                await socket.send(json.dumps({"type": "acknowledge", "id": frame["id"]}))
        elif frame["type"] == "alert.updated":
            self._see(frame["alert"])
        elif frame["type"] == "error":
            self._check(False, frame)

    def _check(self, right: bool, frame: dict[str, Any]) -> None:
        if not right:
            self.faults.append((self._call_id, self.last_seq, frame))

    def _see(self, alert: dict[str, Any]) -> None:
        if alert["callId"] in self.calls and alert["version"] >= self.view.get(alert["id"], (0, None))[0]:
            self.view[alert["id"]] = (alert["version"], alert.get("acknowledgedBy"))


async def test_who_comes_and_goes_between_two_processes_has_what_is_stored(
    own_redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database, layer = postgres.url(), own_redis.url()
    servers = [serve(database, layer), serve(database, layer)]
    chance = random.Random(SEED)
    print(f"VIEWS_SEED={SEED}")
    clients = [Client(servers, call_id, chance) for call_id in ("a", "b", "a", None, None)]
    watching = [asyncio.create_task(client.come_and_go()) for client in clients]
    for number in range(ROUNDS):
        posting = [
            asyncio.create_task(asyncio.to_thread(post_some, server, call, A_ROUND * (2 * number + place), A_ROUND))
            for place, server in enumerate(servers)
            for call in CALLS
        ]
        if number == 1:
            await asyncio.to_thread(servers[0].restart)
        elif number == 2:
            own_redis.stop(signal.SIGKILL)
            own_redis.start()
        await asyncio.gather(*posting)
    for client in clients:
        client.stay()
    await until_all_have_what_is_stored(servers[0], clients)
    for task in watching:
        task.cancel()
    assert [fault for client in clients for fault in client.faults] == []
    assert all(len(client.view) >= 2 * ROUNDS * A_ROUND for client in clients)


def stored(server: LiveServer) -> dict[str, View]:
    """What the table holds of each call."""
    alerts = "alerts_alert a JOIN alerts_call c ON c.id = a.call_id WHERE a.seq IS NOT NULL"
    views: dict[str, View] = {call: {} for call in CALLS}
    for call, key, version, by in server.rows(f"SELECT c.call_id, a.id, a.version, a.acknowledged_by FROM {alerts}"):
        views[call][str(key)] = (version, by or None)
    return views


async def until_all_have_what_is_stored(server: LiveServer, clients: list[Client]) -> None:
    """Clients may still acknowledge, so the table is read each time."""
    for _ in range(300):
        views = await asyncio.to_thread(stored, server)
        lacking = [one for one in clients if one.view != {k: v for call in one.calls for k, v in views[call].items()}]
        if not lacking:
            return
        await asyncio.sleep(0.2)
    raise AssertionError([(client.calls, len(client.view), client.last_seq) for client in lacking])
