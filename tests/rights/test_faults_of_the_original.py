"""The security faults of the server that this one takes the place of, each tried on this one."""

import base64
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from alerts.credentials import mint
from tests.live import ROOT, LiveServer, an_alert, bearer, watcher_token
from tests.rights.tokens import forged
from tests.services import program


async def answer(server: LiveServer, query: str = "", token: str | None = None) -> Any:
    """`connected`, or the code that the connection is closed with."""
    async with connect(server.ws(f"/ws/alerts?{query}"), additional_headers=token and bearer(token)) as socket:
        try:
            return json.loads(await socket.recv())
        except ConnectionClosed:
            return socket.close_code


async def test_its_token_check_was_never_awaited_so_any_token_passed(server: LiveServer) -> None:
    for token in ("rubbish", forged(secret="z" * 40), forged(exp=1)):
        assert await answer(server, token=token) == 4002


@pytest.mark.parametrize("secret", ["", " ", "short"])
def test_an_empty_secret_switched_auth_off(tmp_path: Path, secret: str) -> None:
    env = os.environ | {"ALERT_SERVER_JWT_SECRET": secret, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}"}
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", "0"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "ALERT_SERVER_JWT_SECRET" in done.stderr


def test_an_empty_secret_signed_tokens(own_server: Any) -> None:
    server = own_server(ALERT_ENABLE_AUTH="false", ALERT_SERVER_JWT_SECRET="")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "admin", "exp": 2**33}).encode()).rstrip(b"=")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=") + b"." + claims
    signature = base64.urlsafe_b64encode(hmac.digest(b"", head, "sha256")).rstrip(b"=")
    token = (head + b"." + signature).decode()
    assert server.call("GET", "/api/v1/alerts/", token=token)[0] == 401
    assert server.call("POST", "/api/v1/token/revoke/", {"refresh": token})[0] == 401


async def test_the_user_came_from_the_url(server: LiveServer) -> None:
    assert await answer(server, "userId=admin") == 4001
    connected = await answer(server, "userId=admin", mint("outsider", 60))
    assert connected["payload"]["userId"] == "outsider"
    assert await answer(server, "userId=admin&callId=red-call", mint("outsider", 60)) == 4003


async def test_browsers_could_not_authenticate_at_all(server: LiveServer) -> None:
    chromium = program("chromium")
    status, ticket = server.call("POST", "/api/v1/ws-tickets/", {}, watcher_token(name="ann"))
    assert status == 200
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(server.url("/login/"))
        users = [
            await page.evaluate(_FIRST_FRAME, [f"/ws/alerts?ticket={ticket['ticket']}", ["alerts.v1"]]),
            await page.evaluate(_FIRST_FRAME, ["/ws/alerts", ["alerts.v1", f"bearer.{watcher_token(name='bob')}"]]),
            await page.evaluate(_FIRST_FRAME, ["/ws/alerts", ["alerts.v1"]]),
        ]
        await browser.close()
    assert users == ["ann", "bob", 4001]


_FIRST_FRAME = """([path, protocols]) => new Promise(resolve => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + path, protocols);
  socket.onmessage = message => resolve(JSON.parse(message.data).payload.userId);
  socket.onclose = closed => resolve(closed.code);
})"""


async def test_any_user_saw_any_call(server: LiveServer) -> None:
    outsider = mint("outsider", 60)
    server.post(an_alert("red-call", kind="a secret of the team"))
    assert await answer(server, "callId=red-call", outsider) == 4003
    assert server.call("GET", "/api/v1/alerts/?callId=red-call", token=outsider)[1]["results"] == []
    assert server.call("GET", "/api/v1/calls/red-call/", token=outsider)[0] == 404
