"""The way without the door: another server than `serve`, or another uvicorn than the door was made for."""

import json
import logging
import shutil
from collections.abc import Iterator

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect

from alertsite import door
from tests.alerts.test_subscribers import (
    read_to_the_end,
    refusal,
    stalled_client,
    until_closed,
)
from tests.live import LiveServer, an_alert, bearer, watcher_token
from tests.socket.conftest import V2
from tests.socket.test_limits import TOO_MANY


class PlainUvicorn(LiveServer):
    """`uvicorn alertsite.asgi:application`, as anybody may start it."""

    def command(self) -> list[str]:
        return ["-m", "uvicorn", "alertsite.asgi:application", "--port", str(self.port), "--log-level", "warning"]


@pytest.fixture(scope="module")
def plain() -> Iterator[PlainUvicorn]:
    server = PlainUvicorn()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


async def test_a_plain_uvicorn_delivers_in_order_and_closes_with_codes_and_reasons(plain: PlainUvicorn) -> None:
    async with connect(plain.ws("/"), additional_headers=bearer(watcher_token()), subprotocols=V2) as socket:
        assert json.loads(await socket.recv())["payload"]["protocol"] == "alerts.v2"
        plain.post(*(an_alert("plain-1", kind=str(kind)) for kind in range(20)))
        assert [json.loads(await socket.recv())["seq"] for _ in range(20)] == list(range(1, 21))
        for _ in range(101):
            await socket.send("{")
        frames, closed = await until_closed(socket)
    assert (len(frames), frames[-1]["code"], closed) == (101, "rate_limited", TOO_MANY)
    assert await refusal(plain) == (4001, "Missing or invalid JWT token")


def test_a_plain_uvicorn_lets_go_of_a_client_that_does_not_read(plain: PlainUvicorn) -> None:
    stalled = stalled_client(plain, "/?callId=plain-2")
    for number in range(200):
        plain.post(an_alert("plain-2", kind=str(number), data={"filler": "y" * 60_000}))
    assert read_to_the_end(stalled) < 200 * 60_000


def test_another_uvicorn_than_the_door_was_made_for_is_said_and_served_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert door.protocol() is door.DoorProtocol
    monkeypatch.setattr(uvicorn, "__version__", "0.55.0")
    monkeypatch.setattr(logging.getLogger("alertsite"), "propagate", True)
    assert door.protocol() is WebSocketsSansIOProtocol
    assert [record.getMessage() for record in caplog.records] == [
        "uvicorn 0.55.0 is not 0.54.x: alerts take the slow path"
    ]
