"""What tests share: real servers and services, started once, their clients, and the end of the writer."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright
from websockets.asyncio.client import ClientConnection, connect

from alerts import dispatch
from tests.live import LiveServer, bearer, watcher_token
from tests.services import Postgres, Redis, Service, program


def started(service: Service) -> Iterator[Service]:
    service.start()
    yield service
    service.remove()


@pytest.fixture(scope="session")
def redis() -> Iterator[Service]:
    yield from started(Redis())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Service]:
    yield from started(Postgres())


@pytest.fixture
def _writing(transactional_db: None) -> Iterator[None]:
    """What the writer of this process has begun is stored, and its thread has ended, before the database goes."""
    yield
    dispatch.close(10)


@pytest.fixture(scope="session")
def server() -> Iterator[LiveServer]:
    """One server for all tests that leave it as they found it; each uses call ids of its own."""
    server = LiveServer()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture
def own_server() -> Iterator[Callable[..., LiveServer]]:
    """Makes servers that a test may stop, kill or configure."""
    made: list[LiveServer] = []

    def make(**env: str) -> LiveServer:
        made.append(LiveServer(env))
        return made[-1]

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)


class Client:
    """A version 1 client."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def receive(self, within_s: float = 10) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), within_s))
        return frame

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def settled(self) -> None:
        """Everything sent before has been handled: its own ping has come back and nothing else before it."""
        await self.send(type="ping")
        frame = await self.receive()
        assert frame["type"] == "pong", frame

    async def until_pong(self) -> list[dict[str, Any]]:
        """All frames up to the answer of a ping sent now."""
        await self.send(type="ping")
        frames = []
        while (frame := await self.receive())["type"] != "pong":
            frames.append(frame)
        return frames


Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def subscribe(server: LiveServer) -> AsyncIterator[Connect]:
    """Connects version 1 clients, past their `connected`."""
    async with AsyncExitStack() as stack:

        async def made(token: str | None = None, path: str = "/ws/alerts", to: LiveServer = server) -> Client:
            headers = bearer(token or watcher_token())
            client = Client(await stack.enter_async_context(connect(to.ws(path), additional_headers=headers)))
            assert (await client.receive())["type"] == "connected"
            return client

        yield made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium"),
            args=["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        await browser.close()
