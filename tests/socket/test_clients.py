"""Clients that people have: Node's ws in the manner of the original, and a browser."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from tests.live import ROOT, LiveServer, an_alert, watcher_token
from tests.services import node_with, program


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs a client as they were written for the original."""
    folder = tmp_path_factory.mktemp("node")
    node = node_with("ws@8", folder)
    shutil.copy(ROOT / "tests/socket/client.js", folder)
    return [node, str(folder / "client.js")]


def test_a_client_of_the_original_works_unchanged(server: LiveServer, original: list[str]) -> None:
    command = [*original, server.ws("/ws/alerts?sessionId=desk"), watcher_token(name="ann"), "node-1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        connected, pong = (json.loads(client.stdout.readline()) for _ in range(2))
        server.post(an_alert("node-2"), an_alert("node-1"))
        alert, closed = (json.loads(client.stdout.readline()) for _ in range(2))
    assert (connected["payload"]["sessionId"], connected["payload"]["userId"]) == ("desk", "ann")
    assert list(pong) == ["type", "timestamp"]
    assert (alert["callId"], alert["seq"]) == ("node-1", 1)
    assert closed["code"] == 1000


@pytest.mark.parametrize(
    ("token", "call_id", "answer"),
    [
        ("", "any", {"code": 4001, "reason": "Missing or invalid JWT token"}),
        ("rubbish", "any", {"code": 4002, "reason": "Invalid or expired JWT token"}),
        (watcher_token("mine"), "theirs", {"code": 4003, "reason": "Call not allowed"}),
    ],
    ids=["no token", "a bad token", "a hidden call"],
)
def test_a_client_of_the_original_sees_why_it_was_refused(
    server: LiveServer, original: list[str], token: str, call_id: str, answer: dict[str, Any]
) -> None:
    command = [*original, server.ws("/"), token, call_id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1]) == answer


@pytest.fixture
async def page(server: LiveServer) -> AsyncIterator[Page]:
    """A page of the server's own origin."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        page = await browser.new_page()
        await page.goto(server.url("/login/"))
        yield page
        await browser.close()


IN_THE_BROWSER = """([url, protocols, wanted]) => new Promise((resolve) => {
    const frames = [];
    const socket = new WebSocket(url, protocols);
    const tell = (code, reason) => resolve({ frames, code, reason, protocol: socket.protocol });
    socket.onmessage = ({ data }) => {
        frames.push(JSON.parse(data).type);
        if (frames.length === wanted) { tell(); socket.close(); }
    };
    socket.onclose = ({ code, reason }) => tell(code, reason);
})"""


@pytest.mark.parametrize("version", ["alerts.v1", "alerts.v2"])
async def test_browsers_could_not_authenticate_and_can_with_the_token_as_a_subprotocol(
    server: LiveServer, page: Page, version: str
) -> None:
    protocols = [version, f"bearer.{watcher_token()}"]
    waiting = asyncio.create_task(page.evaluate(IN_THE_BROWSER, [server.ws("/ws/alerts"), protocols, 2]))
    while not waiting.done():
        await asyncio.to_thread(server.post, an_alert("browser-1"))
        await asyncio.sleep(0.2)
    answer = await waiting
    assert answer["protocol"] == version
    assert answer["frames"] == ["connected", "call_event"]


REFUSALS = {
    "no token": (["alerts.v2"], "/", 4001, "Missing or invalid JWT token"),
    "a bad token": (["alerts.v2", "bearer.rubbish"], "/", 4002, "Invalid or expired JWT token"),
    "a hidden call": (["alerts.v1", f"bearer.{watcher_token('mine')}"], "/?callId=theirs", 4003, "Call not allowed"),
}


@pytest.mark.parametrize(("protocols", "path", "code", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_a_browser_sees_why_it_was_refused(
    server: LiveServer, page: Page, protocols: list[str], path: str, code: int, reason: str
) -> None:
    answer = await page.evaluate(IN_THE_BROWSER, [server.ws(path), protocols, 2])
    assert (answer["code"], answer["reason"], answer["frames"]) == (code, reason, [])
