"""The subscribers' socket, version 2, on the real server: requests and their answers."""

import asyncio
import json
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.alerts.test_subscribers import until_closed
from tests.conftest import Connect
from tests.live import LiveServer, an_alert, bearer, watcher_token
from tests.rights.tokens import forged
from tests.socket.conftest import V2, Connect2

OFFERS = {
    "both": (["alerts.v1", "alerts.v2"], "", "alerts.v2", 2),
    "the older one": (["alerts.v1"], "", "alerts.v1", 1),
    "the older one, asking for the newer": (["alerts.v1"], "?v=2", "alerts.v1", 1),
    "none": ([], "", None, 1),
    "none, asking": ([], "?v=2", None, 2),
    "unknown ones": (["alerts.v3", "chat"], "", None, 1),
}


@pytest.mark.parametrize(("offered", "query", "selected", "version"), OFFERS.values(), ids=OFFERS)
async def test_the_highest_version_offered_is_spoken(
    server: LiveServer, offered: list[str], query: str, selected: str | None, version: int
) -> None:
    subprotocols = [Subprotocol(name) for name in offered] or None
    headers = bearer(watcher_token(name="ann"))
    async with connect(server.ws("/" + query), additional_headers=headers, subprotocols=subprotocols) as socket:
        assert socket.subprotocol == selected
        payload = json.loads(await socket.recv())["payload"]
    assert list(payload)[:3] == ["sessionId", "userId", "timestamp"]
    more = {"protocol": "alerts.v2", "heartbeatMs": 20_000, "resumeWindowMs": 86_400_000, "maxCalls": 1000}
    assert {name: payload[name] for name in list(payload)[3:]} == (more if version == 2 else {})


async def test_a_refusal_selects_the_highest_version_too(server: LiveServer) -> None:
    offered = [Subprotocol(name) for name in ("alerts.v1", "bearer.rubbish", "alerts.v2")]
    async with connect(server.ws("/"), subprotocols=offered) as socket:
        assert socket.subprotocol == "alerts.v2"
        assert await until_closed(socket) == ([], (4002, "Invalid or expired JWT token"))


async def test_a_request_is_answered_with_its_ref(subscribe_2: Connect2) -> None:
    client = await subscribe_2()
    subscribed = {"type": "subscribed", "callId": "ref-1", "seq": 0, "replayed": 0, "recovered": True}
    assert await client.ask(type="subscribe", callId="ref-1", ref="a" * 128) == subscribed | {"ref": "a" * 128}
    assert await client.ask(type="unsubscribe", callId="ref-1", ref=-7) == {
        "type": "unsubscribed",
        "callId": "ref-1",
        "ref": -7,
    }
    pong = await client.ask(type="ping", ref=0)
    assert (pong["type"], pong["ref"], sorted(pong)) == ("pong", 0, ["ref", "timestamp", "type"])
    assert "ref" not in await client.ask(type="ping")
    assert "ref" not in await client.ask(type="ping", ref=None)


AN_ID = "019aaf63-66f5-7d52-8b2f-9d3c3a1f6a10"
BAD_REQUESTS: dict[str, tuple[str | bytes, str, Any]] = {
    "no JSON": ("{", "bad_json", None),
    "no UTF-8": (b"\xff", "bad_json", None),
    "nothing": ("", "bad_json", None),
    "a number that JSON has not": ('{"type":"ping","ref":NaN}', "bad_json", None),
    "a list": ('["ping"]', "bad_request", None),
    "no type": ('{"ref":1}', "bad_request", 1),
    "a type that is no text": ('{"type":5,"ref":1}', "bad_request", 1),
    "an unknown type": ('{"type":"dance","ref":"x"}', "unknown_type", "x"),
    "no callId": ('{"type":"subscribe","ref":"x"}', "bad_request", "x"),
    "an empty callId": ('{"type":"subscribe","callId":"","ref":"x"}', "bad_request", "x"),
    "a callId too long": (json.dumps({"type": "unsubscribe", "callId": "c" * 257}), "bad_request", None),
    "a callId with a line end": ('{"type":"subscribe","callId":"a\\nb"}', "bad_request", None),
    "a lastSeq below 0": ('{"type":"subscribe","callId":"c","lastSeq":-1,"ref":2}', "bad_request", 2),
    "a lastSeq that is true": ('{"type":"subscribe","callId":"c","lastSeq":true}', "bad_request", None),
    "a since with decimals": ('{"type":"subscribe","callId":"c","since":1.5}', "bad_request", None),
    "a since of twenty digits": ('{"type":"subscribe","callId":"c","since":99999999999999999999}', "bad_request", None),
    "a resume without since": ('{"type":"resume","ref":2}', "bad_request", 2),
    "a resume since no number": ('{"type":"resume","since":"yesterday"}', "bad_request", None),
    "an acknowledge without id": ('{"type":"acknowledge","note":"mine","ref":2}', "bad_request", 2),
    "an acknowledge of no id": ('{"type":"acknowledge","id":"the last one"}', "bad_request", None),
    "a note that is no text": (json.dumps({"type": "acknowledge", "id": AN_ID, "note": 5}), "bad_request", None),
    "a note too long": (json.dumps({"type": "acknowledge", "id": AN_ID, "note": "n" * 4001}), "bad_request", None),
    "a note with a NUL": (json.dumps({"type": "acknowledge", "id": AN_ID, "note": "a\0b"}), "bad_request", None),
    "a token that is no text": ('{"type":"auth","token":null,"ref":2}', "bad_request", 2),
    "a bad token": ('{"type":"auth","token":"rubbish","ref":2}', "invalid_token", 2),
    "a ref too long": (json.dumps({"type": "ping", "ref": "r" * 129}), "bad_request", None),
    "a ref that is a list": ('{"type":"ping","ref":[]}', "bad_request", None),
}


@pytest.mark.parametrize(("message", "code", "ref"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
async def test_what_is_wrong_is_answered_and_the_socket_stays(
    subscribe_2: Connect2, message: str | bytes, code: str, ref: Any
) -> None:
    client = await subscribe_2()
    await client.socket.send(message)
    answer = await client.receive()
    assert (answer["type"], answer["code"], answer.get("ref")) == ("error", code, ref)
    assert answer["message"]
    await client.settled()


async def test_the_original_answered_no_malformed_message_and_version_1_still_does_not(
    subscribe: Connect, subscribe_2: Connect2
) -> None:
    old, new = await subscribe(), await subscribe_2()
    await old.socket.send("{")
    await old.settled()
    await new.socket.send("{")
    assert (await new.receive())["code"] == "bad_json"


async def test_subscribed_tells_where_the_call_stands_and_what_is_later_follows(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    client = await subscribe_2()
    await asyncio.to_thread(server.post, *(an_alert("stand-1", kind=str(kind)) for kind in range(3)))
    for _ in range(3):
        await client.receive()
    assert (await client.ask(type="subscribe", callId="stand-1"))["seq"] == 3
    await asyncio.to_thread(server.post, an_alert("stand-1", kind="later"))
    assert (await client.receive())["seq"] == 4


async def test_no_alert_is_lost_between_subscribed_and_the_stream(server: LiveServer, subscribe_2: Connect2) -> None:
    def post_many() -> None:
        for number in range(40):
            server.post(an_alert("race-1", kind=str(number)))

    posting = asyncio.create_task(asyncio.to_thread(post_many))
    clients = []
    while not posting.done() and len(clients) < 30:
        client = await subscribe_2()
        await client.send(type="subscribe", callId="race-1")
        clients.append(client)
    await posting
    for client in clients:
        while (frame := await client.receive())["type"] != "subscribed":
            assert frame["seq"] <= 40
        expected = frame["seq"] + 1
        for alert in await client.until_pong():
            if alert["seq"] >= expected:
                assert alert["seq"] == expected
                expected += 1
        assert expected == 41


async def test_the_call_of_the_query_counts_as_the_first_subscribe(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2(path="/ws/alerts?callId=query-1")
    assert (await client.receive())["type"] == "subscribed"
    await asyncio.to_thread(server.post, an_alert("query-2"), an_alert("query-1"))
    assert (await client.receive())["callId"] == "query-1"


async def test_a_call_that_may_not_be_seen_is_an_error_and_the_others_go_on(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    client = await subscribe_2(forged(sub="outsider", calls=None))
    answers = [await client.ask(type="subscribe", callId=call) for call in ("red-call", "no-such-call")]
    assert answers == [{"type": "error", "code": "call_not_allowed", "message": "Call not allowed"}] * 2
    await client.settled()


async def test_unsubscribing_the_last_call_opens_no_stream_of_all_calls(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    client = await subscribe_2(path="/ws/alerts?callId=shut-1")
    await client.receive()
    assert (await client.ask(type="unsubscribe", callId="shut-1"))["type"] == "unsubscribed"
    await asyncio.to_thread(server.post, an_alert("shut-1"), an_alert("shut-2"))
    assert await client.until_pong() == []


async def test_connections_are_frames_of_version_2(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2()
    await client.ask(type="subscribe", callId="connections-2")
    await asyncio.to_thread(
        server.post, an_alert("connections-2", type="connection"), an_alert("connections-2", type="disconnection")
    )
    assert [(await client.receive())["type"] for _ in range(2)] == ["connection", "disconnection"]


async def test_an_alert_is_the_same_bytes_in_both_versions(
    server: LiveServer, subscribe: Connect, subscribe_2: Connect2
) -> None:
    old, new = await subscribe(), await subscribe_2()
    await asyncio.to_thread(server.post, an_alert("bytes-1", message="é " * 1900))
    assert await old.socket.recv() == await new.socket.recv()


async def test_alerts_of_every_size_arrive_whole(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2()

    async def sent_and_received(size: int) -> int:
        alert = an_alert("sizes-1", kind=f"{size:05}", data={"filler": "x" * size}, message="m" * 1000)
        await asyncio.to_thread(server.post, alert)
        text = await client.socket.recv()
        assert json.loads(text)["data"]["filler"] == "x" * size
        return len(text)

    around = await sent_and_received(0)
    for frame_size in (65_535, 65_536, 2000, 66_500):  # lengths are written with two bytes, from 65,536 on with eight
        assert await sent_and_received(frame_size - around) == frame_size


async def test_a_newer_token_moves_the_end_of_the_socket(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2(watcher_token(lifetime_s=3))
    assert (await client.receive())["type"] == "auth.expiring"
    expires_at = int(time.time()) + 600
    answer = await client.ask(type="auth", token=forged(exp=expires_at), ref=1)
    assert answer == {"type": "authenticated", "expiresAt": expires_at * 1000, "ref": 1}
    await asyncio.sleep(4)
    await client.settled()


async def test_who_brings_no_newer_token_is_warned_and_let_out(server: LiveServer, subscribe_2: Connect2) -> None:
    token = watcher_token(lifetime_s=2)
    client = await subscribe_2(token)
    frames, closed = await until_closed(client.socket)
    assert [frame["type"] for frame in frames] == ["auth.expiring"]
    assert abs(frames[0]["expiresAt"] - time.time() * 1000) < 60_000
    assert closed == (4002, "Invalid or expired JWT token")


async def test_a_token_of_another_user_is_refused_and_the_old_one_still_counts(subscribe_2: Connect2) -> None:
    client = await subscribe_2(watcher_token(name="ann"))
    assert (await client.ask(type="auth", token=watcher_token(name="bob")))["code"] == "subject_mismatch"
    expired = forged(sub="ann", exp=int(time.time()) - 60)
    assert (await client.ask(type="auth", token=expired))["code"] == "invalid_token"
    await client.settled()


async def test_a_newer_token_with_fewer_calls_ends_what_it_no_longer_allows(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    client = await subscribe_2()
    for call in ("kept-1", "lost-1"):
        await client.ask(type="subscribe", callId=call)
    assert (await client.ask(type="auth", token=watcher_token("kept-1")))["type"] == "authenticated"
    assert await client.receive() == {"type": "unsubscribed", "callId": "lost-1", "code": "call_not_allowed"}
    await asyncio.to_thread(server.post, an_alert("lost-1"), an_alert(None), an_alert("kept-1"))
    assert (await client.receive())["callId"] == "kept-1"


async def test_the_goodbye_of_version_2_says_when_to_come_back(own_server: Any) -> None:
    server = own_server()
    async with connect(server.ws("/"), additional_headers=bearer(watcher_token()), subprotocols=V2) as socket:
        await socket.recv()
        assert await asyncio.to_thread(server.stop) == 0
        [goodbye], closed = await until_closed(socket)
    assert list(goodbye["payload"]) == ["timestamp", "reconnectAfterMs"]
    assert closed == (1001, "Server shutting down")
