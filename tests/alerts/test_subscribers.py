"""The subscribers' socket, version 1, on the real server: who is let in, and what they are sent."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import time
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_and_block
from websockets.typing import Origin, Subprotocol

from tests.conftest import Connect
from tests.live import LiveServer, an_alert, bearer, publisher_token, watcher_token
from tests.rights.tokens import forged


async def refusal(server: LiveServer, path: str = "/ws/alerts", **options: Any) -> tuple[int | None, str | None]:
    """The code and reason a connection is closed with, after its upgrade was completed."""
    async with connect(server.ws(path), **options) as client:
        return (await until_closed(client))[1]


async def until_closed(socket: ClientConnection) -> tuple[list[dict[str, Any]], tuple[int | None, str | None]]:
    """The frames that come until the server closes, and its code and reason."""
    frames = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            frames.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
    return frames, (socket.close_code, socket.close_reason)


BAD_TOKENS = {
    "of another secret": forged(secret="z" * 40),
    "expired": forged(exp=int(time.time()) - 6),
    "without an expiry": forged(exp=None),
    "without a subject": forged(sub=None),
    "for another audience": forged(aud="elsewhere"),
    "a refresh token": forged(token_type="refresh"),
    "of a user who is not active": forged(sub="gone"),
    "of an unknown user, with no calls": forged(sub="nobody", calls=None),
    "with calls that are no list": forged(calls="*"),
    "unsigned": jwt.encode({"sub": "admin", "exp": int(time.time()) + 600}, None, algorithm="none"),
    "that is no token": "rubbish",
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_a_bad_token_is_refused_with_4002(server: LiveServer, token: str) -> None:
    answer = await refusal(server, additional_headers=bearer(token))
    assert answer == (4002, "Invalid or expired JWT token")


async def test_no_credential_is_refused_with_4001(server: LiveServer) -> None:
    assert await refusal(server) == (4001, "Missing or invalid JWT token")


async def test_a_token_in_the_query_is_no_credential(server: LiveServer) -> None:
    path = f"/ws/alerts?token={watcher_token()}&access_token={watcher_token()}"
    assert await refusal(server, path) == (4001, "Missing or invalid JWT token")


async def test_a_foreign_origin_is_refused_before_anything_else(server: LiveServer) -> None:
    assert await refusal(server, origin="https://evil.example") == (1008, "Origin not allowed")


async def test_a_call_that_is_hidden_and_one_that_is_unknown_are_refused_alike(server: LiveServer) -> None:
    token = forged(sub="outsider", calls=None)
    answers = [
        await refusal(server, f"/ws/alerts?callId={call}", additional_headers=bearer(token))
        for call in ("red-call", "no-such-call")
    ]
    assert answers == [(4003, "Call not allowed")] * 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_our_own_page_may_connect_at_every_address_that_it_is_served_from(own_server: Any, host: str) -> None:
    server = own_server(PUBLIC_URL="http://elsewhere.example")
    address = f"{host}:{server.port}"
    token = [Subprotocol("alerts.v1"), Subprotocol(f"bearer.{watcher_token()}")]
    async with connect(f"ws://{address}/ws/alerts", subprotocols=token, origin=Origin(f"http://{address}")) as socket:
        assert json.loads(await socket.recv())["type"] == "connected"
    assert await refusal(server, origin=f"https://{address}") == (1008, "Origin not allowed")


async def test_a_token_that_may_only_publish_follows_nothing(server: LiveServer) -> None:
    assert await refusal(server, additional_headers=bearer(publisher_token())) == (4003, "Call not allowed")


async def test_another_path_is_refused_before_the_upgrade(server: LiveServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.ws("/elsewhere"), additional_headers=bearer(watcher_token()))
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/ws/alerts", "/ws/alerts/"])
async def test_every_path_of_the_original_leads_to_alerts(server: LiveServer, path: str) -> None:
    async with connect(server.ws(path), additional_headers=bearer(watcher_token(name="ann"))) as socket:
        frame = json.loads(await socket.recv())
    assert frame["type"] == "connected"
    assert frame["payload"]["userId"] == "ann"
    assert frame["payload"]["sessionId"].startswith("sub-")
    assert abs(frame["payload"]["timestamp"] - time.time() * 1000) < 60_000


async def test_the_session_id_is_echoed_and_the_user_comes_from_the_token(server: LiveServer) -> None:
    path = "/ws/alerts?sessionId=desk%207&userId=somebody-else"
    async with connect(server.ws(path), additional_headers=bearer(watcher_token(name="ann"))) as socket:
        payload = json.loads(await socket.recv())["payload"]
    assert (payload["sessionId"], payload["userId"]) == ("desk 7", "ann")


async def test_a_browser_offers_its_token_as_a_subprotocol_that_is_never_echoed(server: LiveServer) -> None:
    offered = [Subprotocol("alerts.v1"), Subprotocol(f"bearer.{watcher_token()}")]
    async with connect(server.ws("/ws/alerts"), subprotocols=offered, origin=server.url("")) as socket:
        assert socket.subprotocol == "alerts.v1"
        assert json.loads(await socket.recv())["type"] == "connected"


async def test_a_refusal_selects_the_subprotocol_too_so_that_a_browser_sees_the_code(server: LiveServer) -> None:
    offered = [Subprotocol("alerts.v1"), Subprotocol("bearer.rubbish")]
    assert await refusal(server, subprotocols=offered) == (4002, "Invalid or expired JWT token")


async def test_the_socket_closes_when_its_token_expires(server: LiveServer) -> None:
    started = time.time()
    answer = await refusal(server, additional_headers=bearer(watcher_token(lifetime_s=2)))
    assert answer == (4002, "Invalid or expired JWT token")
    assert time.time() - started > 0.9


async def test_who_never_subscribed_gets_the_alerts_of_every_call(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe()
    server.post(an_alert("every-1"), an_alert("every-2"))
    assert {(await client.receive())["callId"] for _ in range(2)} == {"every-1", "every-2"}


async def test_two_subscribers_of_two_calls_each_get_only_their_own(server: LiveServer, subscribe: Connect) -> None:
    clients = {call: await subscribe() for call in ("own-1", "own-2")}
    for call, client in clients.items():
        await client.send(type="subscribe", callId=call)
        await client.settled()
    everything = await subscribe()
    server.post(*(an_alert(call, kind=f"{number}") for number in range(5) for call in clients))
    for call, client in clients.items():
        assert [(await client.receive())["callId"] for _ in range(5)] == [call] * 5
        assert await client.until_pong() == []
    assert sorted([(await everything.receive())["callId"] for _ in range(10)]) == ["own-1"] * 5 + ["own-2"] * 5


async def test_after_the_last_unsubscribe_there_is_nothing(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe(path="/ws/alerts?callId=last-1")
    await client.send(type="unsubscribe", callId="last-1")
    await client.settled()
    server.post(an_alert("last-1"), an_alert("last-2"))
    assert await client.until_pong() == []


async def test_alerts_of_a_call_come_in_the_order_of_their_seq(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe(path="/ws/alerts?callId=order-1")
    for start in range(0, 50, 10):
        server.post(*(an_alert("order-1", kind=str(kind)) for kind in range(start, start + 10)))
    assert [(await client.receive())["seq"] for _ in range(50)] == list(range(1, 51))


async def test_an_alert_has_the_shape_of_the_contract(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe(path="/ws/alerts?callId=shape-1")
    [posted] = server.post(
        an_alert("shape-1", kind="overlap", channel="all", data={"event": {"type": "overlap"}}, occurredAt=1234)
    )
    alert = await client.receive()
    assert abs(alert.pop("timestamp") - time.time() * 1000) < 60_000
    assert alert == {
        "id": posted["id"],
        "type": "call_event",
        "severity": "low",
        "callId": "shape-1",
        "title": "A title",
        "message": "a message",
        "data": {"event": {"type": "overlap"}},
        "actionable": False,
        "seq": 1,
        "kind": "overlap",
        "channel": "all",
        "occurredAt": 1234,
        "suppressedCount": 0,
        "suppressed": False,
        "correlationId": posted["id"],
        "version": 1,
    }


async def test_connections_are_history_but_no_frames_of_version_1(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe(path="/ws/alerts?callId=connection-1")
    server.post(an_alert("connection-1", type="connection"), an_alert("connection-1", type="disconnection"))
    server.post(an_alert("connection-1"))
    assert (await client.receive())["seq"] == 3


async def test_alerts_about_no_call_go_to_who_sees_every_call_only(server: LiveServer, subscribe: Connect) -> None:
    every = await subscribe(path="/ws/alerts?callId=none-1")
    some = await subscribe(watcher_token("none-1"))
    server.post(an_alert(None, title="Disk nearly full"))
    alert = await every.receive()
    assert alert["title"] == "Disk nearly full"
    assert "callId" not in alert
    assert await some.until_pong() == []


async def test_a_team_mate_gets_the_calls_of_the_team_and_an_outsider_none(
    server: LiveServer, subscribe: Connect
) -> None:
    mate, outsider = (
        await subscribe(forged(sub="mate", calls=None)),
        await subscribe(forged(sub="outsider", calls=None)),
    )
    server.post(an_alert("red-call", kind="for the team"), an_alert("not-of-the-team"))
    assert (await mate.receive())["callId"] == "red-call"
    assert await mate.until_pong() == []
    assert await outsider.until_pong() == []


async def test_subscribing_to_a_call_that_may_not_be_seen_ends_with_4003(
    server: LiveServer, subscribe: Connect
) -> None:
    client = await subscribe(watcher_token("mine"))
    await client.send(type="subscribe", callId="theirs")
    assert await until_closed(client.socket) == ([], (4003, "Call not allowed"))


async def test_frames_may_be_binary(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe()
    await client.socket.send(b'{"type":"ping"}')
    assert (await client.receive())["type"] == "pong"


async def test_a_message_over_64_kib_ends_with_1009_and_one_of_64_kib_does_not(
    server: LiveServer, subscribe: Connect
) -> None:
    client = await subscribe()
    await client.socket.send('{"type":"ping"}'.ljust(64 * 1024))
    assert (await client.receive())["type"] == "pong"
    await client.socket.send(" " * (64 * 1024 + 1))
    assert (await until_closed(client.socket))[1][0] == 1009


FRAMES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=300),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=10,
    ).map(json.dumps),
    st.builds(
        lambda kind, call: json.dumps({"type": kind, "callId": call}),
        st.sampled_from(["subscribe", "unsubscribe", "acknowledge", "resume", "", None, 7]),
        st.none() | st.integers() | st.just("") | st.just("x" * 257) | st.just("a\nb") | st.lists(st.text()),
    ),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FRAMES, max_size=50))
def test_frames_that_version_1_does_not_know_are_ignored(server: LiveServer, frames: list[str | bytes]) -> None:
    with connect_and_block(server.ws("/ws/alerts?callId=fuzz-1"), additional_headers=bearer(watcher_token())) as socket:
        assert json.loads(socket.recv(10))["type"] == "connected"
        for frame in frames:
            socket.send(frame)
        socket.send('{"type":"ping"}')
        assert json.loads(socket.recv(10))["type"] == "pong"


async def test_more_sockets_than_a_user_may_have_are_refused_and_a_place_is_free_again_after(own_server: Any) -> None:
    server = own_server(ALERT_MAX_SUBSCRIBERS_PER_USER="2")
    headers = bearer(watcher_token(name="ann"))
    async with (
        connect(server.ws("/"), additional_headers=headers) as first,
        connect(server.ws("/"), additional_headers=headers) as second,
    ):
        await first.recv()
        await second.recv()
        assert await refusal(server, additional_headers=headers) == (1013, "Too many subscribers")
        async with connect(server.ws("/"), additional_headers=bearer(watcher_token(name="bob"))) as other:
            assert json.loads(await other.recv())["type"] == "connected"
    async with connect(server.ws("/"), additional_headers=headers) as again:
        assert json.loads(await again.recv())["type"] == "connected"


async def test_many_who_come_at_once_get_no_more_places_than_there_are(own_server: Any) -> None:
    server = own_server(ALERT_MAX_SUBSCRIBERS_PER_USER="3")
    headers = bearer(watcher_token(name="ann"))
    sockets = [connect(server.ws("/?callId=x"), additional_headers=headers) for _ in range(30)]
    async with contextlib.AsyncExitStack() as stack:
        clients = await asyncio.gather(*(stack.enter_async_context(socket) for socket in sockets))
        first = await asyncio.gather(*(client.recv() for client in clients), return_exceptions=True)
    assert sum(isinstance(frame, str) for frame in first) == 3


async def test_with_auth_off_the_limit_per_user_is_of_each_user_id(own_server: Any) -> None:
    server = own_server(ALERT_ENABLE_AUTH="false", ALERT_MAX_SUBSCRIBERS_PER_USER="1")
    async with connect(server.ws("/?userId=ann")), connect(server.ws("/?userId=bob")), connect(server.ws("/")):
        assert await refusal(server, "/?userId=ann") == (1013, "Too many subscribers")
        async with connect(server.ws("/")) as nobody:
            assert json.loads(await nobody.recv())["type"] == "connected"


async def test_with_auth_off_the_alert_socket_alone_is_open(own_server: Any) -> None:
    server = own_server(ALERT_ENABLE_AUTH="false", ALERT_SERVER_JWT_SECRET="")
    async with connect(server.ws("/ws/alerts?userId=ann")) as socket:
        assert json.loads(await socket.recv())["payload"]["userId"] == "ann"
    assert server.call("GET", "/api/v1/alerts/")[0] == 401


async def test_a_client_that_does_not_read_is_left_behind_and_the_others_are_not(
    server: LiveServer, subscribe: Connect
) -> None:
    reader = await subscribe(path="/ws/alerts?callId=slow-1")
    stalled = await asyncio.to_thread(stalled_client, server, "/ws/alerts?callId=slow-1")
    big = an_alert("slow-1", message="x" * 4000, data={"filler": "y" * 40_000})
    for start in range(0, 400, 20):
        alerts = [{**big, "kind": str(kind)} for kind in range(start, start + 20)]
        await asyncio.to_thread(lambda posted=alerts: server.post(*posted))
        for _ in range(20):
            await reader.receive()
    received = await asyncio.to_thread(read_to_the_end, stalled)
    assert received < 400 * 44_000


def stalled_client(server: LiveServer, path: str) -> socket.socket:
    """A subscriber that upgrades and then reads nothing."""
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.settimeout(30)
    stalled.connect(("127.0.0.1", server.port))
    stalled.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {watcher_token()}\r\n\r\n".encode()
    )
    assert stalled.recv(12) == b"HTTP/1.1 101"
    return stalled


def read_to_the_end(stalled: socket.socket) -> int:
    """Reads until the server closes; how much there was."""
    received = 0
    with stalled:
        while data := stalled.recv(1 << 20):
            received += len(data)
    return received


async def test_the_server_says_goodbye_after_everything_was_delivered(own_server: Any) -> None:
    server = own_server()
    async with connect(server.ws("/"), additional_headers=bearer(watcher_token())) as socket:
        await socket.recv()
        server.post(*(an_alert("goodbye", kind=str(number)) for number in range(100)))
        assert await asyncio.to_thread(server.stop) == 0
        frames, closed = await until_closed(socket)
    assert [frame["seq"] for frame in frames[:-1]] == list(range(1, 101))
    assert frames[-1]["type"] == "server_shutdown"
    assert list(frames[-1]["payload"]) == ["timestamp"]
    assert closed == (1001, "Server shutting down")
