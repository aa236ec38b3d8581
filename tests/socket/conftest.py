"""Clients of version 2, and the server of `manage.py runserver`."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.conftest import Client
from tests.live import DaphneServer, LiveServer, bearer, watcher_token

V2 = [Subprotocol("alerts.v2")]


class ClientOfVersion2(Client):
    """A version 2 client; `connected` holds its first frame."""

    connected: dict[str, Any]

    async def ask(self, **request: Any) -> dict[str, Any]:
        """A request's answer, which has to be the next frame."""
        await self.send(**request)
        return await self.receive()


Connect2 = Callable[..., Awaitable[ClientOfVersion2]]


@pytest.fixture
async def subscribe_2(server: LiveServer) -> AsyncIterator[Connect2]:
    """Connects version 2 clients, past their `connected`."""
    async with AsyncExitStack() as stack:

        async def made(token: str | None = None, path: str = "/ws/alerts", to: LiveServer = server) -> ClientOfVersion2:
            headers = bearer(token or watcher_token())
            connecting = connect(to.ws(path), additional_headers=headers, subprotocols=V2)
            client = ClientOfVersion2(await stack.enter_async_context(connecting))
            client.connected = await client.receive()
            assert client.connected["type"] == "connected"
            return client

        yield made


@pytest.fixture(scope="session")
def daphne() -> Iterator[DaphneServer]:
    """`manage.py runserver`, which is Daphne."""
    server = DaphneServer()
    yield server
    server.stop()
    shutil.rmtree(server.folder)
