"""Who comes back, on the real server: what was missed comes in order, then what is live; what is beyond is told."""

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from tests.conftest import Client, Connect
from tests.live import LiveServer, an_alert, watcher_token
from tests.rights.tokens import forged
from tests.socket.conftest import Connect2
from tests.socket.raw import TEXT, RawSocket, frame
from tests.storm import post_missed, storm

DAY_MS = 24 * 3600 * 1000


async def post(server: LiveServer, call: str | None, *kinds: Any, **more: Any) -> list[str]:
    """Posts alerts of a call; their ids."""
    alerts = [an_alert(call, kind=str(kind), **more) for kind in kinds]
    return [result["id"] for result in await asyncio.to_thread(server.post, *alerts)]


async def seqs(client: Client, count: int) -> list[int]:
    """The places of the next alerts."""
    return [(await client.receive(30))["seq"] for _ in range(count)]


RETURNS: dict[str, tuple[dict[str, int], list[int], bool]] = {
    "who asks for nothing": ({}, [], True),
    "who has all": ({"lastSeq": 3}, [], True),
    "who lacks two": ({"lastSeq": 1}, [2, 3], True),
    "who has none": ({"lastSeq": 0}, [1, 2, 3], True),
    "who lacks two, by both": ({"lastSeq": 1, "since": 2**52}, [2, 3], True),
    "who was there before all": ({"since": 1}, [1, 2, 3], True),
    "who was there after all": ({"since": 2**52}, [], True),
    "who knows another history": ({"lastSeq": 9, "since": 1}, [], False),
}


@pytest.mark.parametrize(("asked", "replayed", "recovered"), RETURNS.values(), ids=RETURNS)
async def test_what_a_client_missed_of_a_call_is_sent_again(
    server: LiveServer, subscribe_2: Connect2, asked: dict[str, int], replayed: list[int], recovered: bool
) -> None:
    if not server.rows("SELECT 1 FROM alerts_call WHERE call_id = 'again-1'"):
        await post(server, "again-1", *range(3))
    client = await subscribe_2()
    told = {"callId": "again-1", "seq": 3, "replayed": len(replayed), "recovered": recovered, "ref": "r"}
    assert await client.ask(type="subscribe", callId="again-1", **asked, ref="r") == {"type": "subscribed", **told}
    assert await seqs(client, len(replayed)) == replayed
    await client.settled()


async def test_alerts_sent_again_are_the_same_bytes(server: LiveServer, subscribe_2: Connect2) -> None:
    first, second = await subscribe_2(), await subscribe_2()
    await first.ask(type="subscribe", callId="same-1")
    await post(server, "same-1", "x", data={"z": 1e22, "é\u2028": [0.1, -0.0]}, channel="caller", occurredAt=1)
    assert (await second.receive())["callId"] == "same-1"
    await second.ask(type="subscribe", callId="same-1", lastSeq=0)
    assert await first.socket.recv() == await second.socket.recv()


async def test_of_more_than_a_thousand_the_newest_are_sent_again_and_a_gap_names_the_others(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    for start in range(0, 1050, 525):
        await post(server, "long-1", *range(start, start + 525))
    client = await subscribe_2()
    subscribed = await client.ask(type="subscribe", callId="long-1", lastSeq=10)
    assert (subscribed["seq"], subscribed["replayed"], subscribed["recovered"]) == (1050, 1000, False)
    assert await client.receive() == {"type": "gap", "callId": "long-1", "fromSeq": 11, "toSeq": 50}
    assert await seqs(client, 1000) == list(range(51, 1051))
    await post(server, "long-1", "live")
    assert await seqs(client, 1) == [1051]


async def test_what_is_older_than_the_window_is_named_and_not_sent(server: LiveServer, subscribe_2: Connect2) -> None:
    await post(server, "old-1", *range(5))
    with closing(sqlite3.connect(server.folder / "db.sqlite3", timeout=20)) as database:
        rows = "call_id = (SELECT id FROM alerts_call WHERE call_id = 'old-1') AND seq <= 3"
        database.execute(f"UPDATE alerts_alert SET stored_at = stored_at - {DAY_MS + 1000} WHERE {rows}")
        database.commit()
    for asked in ({"lastSeq": 1}, {"lastSeq": 1, "since": 0}):
        client = await subscribe_2()
        subscribed = await client.ask(type="subscribe", callId="old-1", **asked)
        assert (subscribed["replayed"], subscribed["recovered"]) == (2, False)
        assert await client.receive() == {"type": "gap", "callId": "old-1", "fromSeq": 2, "toSeq": 3}
        assert await seqs(client, 2) == [4, 5]


async def test_who_comes_back_while_alerts_are_posted_gets_each_once_and_in_order(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    async def keep_posting() -> None:
        for number in range(30):
            await post(server, "busy-1", f"{number} a", f"{number} b")

    posting = asyncio.create_task(keep_posting())
    clients = []
    while not posting.done() and len(clients) < 25:
        client = await subscribe_2()
        await client.send(type="subscribe", callId="busy-1", lastSeq=0)
        clients.append(client)
    await posting
    for client in clients:
        while (await client.receive())["type"] != "subscribed":
            pass  # the stream of every call, until then
        assert await seqs(client, 60) == list(range(1, 61))


async def test_a_big_replay_waits_for_its_reader_and_nobody_waits_for_it(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    """Of 18 MB no more than a little waits at a time: the client that reads is never too slow."""
    for start in range(0, 300, 15):
        await post(server, "big-1", *range(start, start + 15), data={"filler": "x" * 60_000})
    stalled = await asyncio.to_thread(RawSocket(server, receive_buffer=4096).upgrade, "/?v=2&callId=another")
    with stalled:
        stalled.send(frame(TEXT, b'{"type":"subscribe","callId":"big-1","lastSeq":0}'))
        client = await subscribe_2()
        await client.ask(type="subscribe", callId="big-1", lastSeq=0)
        await asyncio.sleep(0.5)  # what it has not read by now waits for it, and no more than that is sent
        assert await seqs(client, 300) == list(range(1, 301))
        await client.settled()


async def test_a_call_that_is_left_while_it_is_sent_again_is_sent_no_further(server: LiveServer) -> None:
    for start in range(0, 240, 15):
        await post(server, "left-1", *range(start, start + 15), data={"filler": "x" * 60_000})
    with await asyncio.to_thread(RawSocket(server, receive_buffer=4096).upgrade, "/?v=2") as raw:
        raw.send(frame(TEXT, b'{"type":"subscribe","callId":"left-1","lastSeq":0}'))
        raw.send(frame(TEXT, b'{"type":"unsubscribe","callId":"left-1"}'))
        told = [json.loads((await asyncio.to_thread(raw.frame))[1])]
        while told[-1]["type"] != "unsubscribed":
            told.append(json.loads((await asyncio.to_thread(raw.frame))[1]))
    assert (told[0]["type"], told[0]["replayed"]) == ("subscribed", 240)
    assert len(told) < 240


async def test_the_stream_of_every_call_is_resumed(server: LiveServer, subscribe_2: Connect2) -> None:
    since = int(time.time() * 1000)
    ids = (
        await post(server, "resume-1", *range(3))
        + await post(server, None, "resume")
        + await post(server, "resume-2", 1)
    )
    client = await subscribe_2()
    resumed = await client.ask(type="resume", since=since + 30_000, ref=5)
    assert (resumed["type"], resumed["since"], resumed["recovered"], resumed["ref"]) == (
        "resumed",
        since + 30_000,
        True,
        5,
    )
    replayed = [await client.receive() for _ in range(resumed["replayed"])]
    assert [alert["id"] for alert in replayed if alert["timestamp"] >= since] == ids
    live = await post(server, "resume-1", "live")
    assert (await client.receive())["id"] == live[0]


async def test_who_resumes_gets_the_calls_that_they_may_see_and_no_others(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    since = int(time.time() * 1000) + 30_000
    await post(server, "red-call", "resumed by the team")
    await post(server, "not-of-the-team", "resumed by nobody")
    await post(server, None, "resumed by who sees all")
    mate, outsider = [await subscribe_2(forged(sub=name, calls=None)) for name in ("mate", "outsider")]
    resumed = await mate.ask(type="resume", since=since)
    replayed = [await mate.receive() for _ in range(resumed["replayed"])]
    assert {alert.get("callId") for alert in replayed} == {"red-call"}
    assert replayed[-1]["kind"] == "resumed by the team"
    assert (await outsider.ask(type="resume", since=since))["replayed"] == 0


async def test_what_is_sent_again_ends_with_the_right_to_see_it(own_server: Any, subscribe_2: Connect2) -> None:
    server: LiveServer = own_server()
    since = int(time.time() * 1000)
    for start in range(0, 240, 15):
        await post(server, "red-call", *range(start, start + 15), data={"filler": "x" * 60_000})
    token = forged(sub="mate", calls=None)
    other = await subscribe_2(token, path="/?callId=red-call", to=server)
    await other.receive()
    with await asyncio.to_thread(RawSocket(server, receive_buffer=4096).upgrade, "/?v=2", token) as raw:
        raw.send(frame(TEXT, json.dumps({"type": "resume", "since": since}).encode()))
        assert json.loads((await asyncio.to_thread(raw.frame))[1])["replayed"] == 240
        staff, change = forged(sub="staff", calls=None), {"team": "blue"}
        answer = await asyncio.to_thread(server.call, "PATCH", "/api/v1/calls/red-call/", change, staff)
        assert answer[0] == 200
        assert (await other.receive())["code"] == "call_not_allowed"
        await other.settled()  # the rights of all who are connected have been looked at
        raw.send(frame(TEXT, b'{"type":"ping"}'))
        told = [json.loads((await asyncio.to_thread(raw.frame))[1])]
        while told[-1]["type"] != "pong":
            told.append(json.loads((await asyncio.to_thread(raw.frame))[1]))
    assert len(told) < 240


async def test_who_has_missed_more_than_is_sent_again_or_was_away_too_long_is_told(
    server: LiveServer, subscribe_2: Connect2
) -> None:
    listed = watcher_token(*(f"many-resumed-{number}" for number in range(3)))
    now = int(time.time() * 1000)
    for number in range(3):
        await post(server, f"many-resumed-{number}", *range(350))
    client = await subscribe_2(listed)
    resumed = await client.ask(type="resume", since=now)
    assert (resumed["replayed"], resumed["recovered"]) == (1000, False)
    replayed = [await client.receive() for _ in range(1000)]
    newest = [(f"many-resumed-{call}", seq) for call in range(3) for seq in range(51 if call == 0 else 1, 351)]
    assert [(alert["callId"], alert["seq"]) for alert in replayed] == newest
    few = await subscribe_2(watcher_token("many-resumed-none"))
    assert (await few.ask(type="resume", since=now - DAY_MS + 60_000))["recovered"]
    assert not (await few.ask(type="resume", since=now - DAY_MS))["recovered"]


async def test_who_has_chosen_calls_cannot_resume_every_call(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2()
    await client.ask(type="subscribe", callId="chosen-1")
    answer = await client.ask(type="resume", since=0, ref="x")
    assert (answer["type"], answer["code"], answer["ref"]) == ("error", "bad_request", "x")


def keeper(*calls: str, name: str = "ann") -> str:
    """A token that may acknowledge."""
    return forged(sub=name, calls=list(calls or ("*",)), scope="subscribe acknowledge")


async def test_an_acknowledgement_is_answered_and_told_to_everybody_of_version_2(
    server: LiveServer, subscribe: Connect, subscribe_2: Connect2
) -> None:
    old, ann, bob = await subscribe(), await subscribe_2(keeper()), await subscribe_2(keeper("ack-1", name="bob"))
    follower, other = await subscribe_2(), await subscribe_2()
    await follower.ask(type="subscribe", callId="ack-1")
    await other.ask(type="subscribe", callId="ack-2")
    [alert_id] = await post(server, "ack-1", "x")
    for client in (old, ann, bob, follower):
        assert (await client.receive())["id"] == alert_id
    await ann.send(type="acknowledge", id=alert_id, note="called\tback\n", ref=1)
    told = {(one := await ann.receive())["type"]: one for _ in range(2)}
    at = told["acknowledged"]["acknowledgedAt"]
    about = {"acknowledgedAt": at, "acknowledgedBy": "ann", "note": "called\tback\n"}
    assert told["acknowledged"] == {"type": "acknowledged", "id": alert_id, **about, "ref": 1}
    assert abs(at - time.time() * 1000) < 60_000
    updated = told["alert.updated"]["alert"]
    assert {name: updated[name] for name in ("id", "version", *about)} == {"id": alert_id, "version": 2, **about}
    for client in (bob, follower):
        assert (await client.receive())["alert"] == updated
    await old.settled()
    await other.settled()
    assert (await bob.ask(type="acknowledge", id=alert_id, ref=2))["code"] == "already_acknowledged"
    assert await ann.ask(type="acknowledge", id=alert_id, note="again", ref=1) == told["acknowledged"]


async def test_who_may_not_acknowledge_is_told_and_hidden_is_unknown(server: LiveServer, subscribe_2: Connect2) -> None:
    [alert_id] = await post(server, "ack-3", "x")
    reader, stranger = await subscribe_2(watcher_token("ack-3")), await subscribe_2(keeper("ack-4"))
    assert (await reader.ask(type="acknowledge", id=alert_id, ref=1))["code"] == "forbidden"
    for unseen in (alert_id, "019aaf63-66f5-7d52-8b2f-9d3c3a1f6a10"):
        answer = await stranger.ask(type="acknowledge", id=unseen, ref=1)
        assert answer == {"type": "error", "code": "not_found", "message": "There is no such alert.", "ref": 1}
    assert server.rows("SELECT acknowledged_by FROM alerts_alert WHERE acknowledged_by <> '' AND kind = 'ack-3'") == []


async def test_who_was_away_learns_what_was_changed_meanwhile(server: LiveServer, subscribe_2: Connect2) -> None:
    ids = await post(server, "changed-1", *range(4))
    ann = await subscribe_2(keeper())
    since = int(time.time() * 1000) + 1
    await asyncio.sleep(0.01)
    for alert_id in (ids[1], ids[3]):
        await ann.send(type="acknowledge", id=alert_id)
        assert {(await ann.receive())["type"] for _ in range(2)} == {"acknowledged", "alert.updated"}

    def shown(frames: list[dict[str, Any]]) -> list[tuple[str, int]]:
        alerts = [one.get("alert", one) for one in frames]
        return [(alert["id"], alert["version"]) for alert in alerts]

    client = await subscribe_2()
    subscribed = await client.ask(type="subscribe", callId="changed-1", lastSeq=3, since=since)
    assert (subscribed["replayed"], subscribed["recovered"]) == (1, True)
    frames = [await client.receive() for _ in range(3)]
    assert [one["type"] for one in frames] == ["call_event", "alert.updated", "alert.updated"]
    assert shown(frames) == [(ids[3], 2), (ids[3], 2), (ids[1], 2)]
    every = await subscribe_2(watcher_token("changed-1"))
    assert (await every.ask(type="resume", since=since + 30_000))["replayed"] == 0
    updated = [(await every.receive())["alert"] for _ in range(2)]
    assert [(alert["id"], alert["acknowledgedBy"]) for alert in updated] == [(ids[1], "ann"), (ids[3], "ann")]


async def test_two_hundred_who_come_back_at_once_to_a_server_that_was_restarted_all_become_current(
    own_server: Any,
) -> None:
    server: LiveServer = own_server(ALERT_COOLDOWN_MS="0")
    await asyncio.to_thread(post_missed, server, "storm", 2, 300)
    await asyncio.to_thread(server.restart)
    asked = [{"type": "subscribe", "callId": f"storm {number}", "lastSeq": 0} for number in range(2)]
    result = await storm(server, 200, 300, lambda number: asked[number % 2])
    assert result.short == []
    print(f"200 clients, 300 missed by each: the last was current after {result.percentile(1):.1f} s")
    assert "Traceback" not in server.log


async def test_who_cannot_be_told_what_they_missed_is_told_to_come_again(
    own_server: Any, subscribe_2: Connect2
) -> None:
    server: LiveServer = own_server()
    by_request = await subscribe_2(to=server)
    await asyncio.to_thread(server.alter, "ALTER TABLE alerts_call RENAME TO alerts_call_away")
    at_once = await subscribe_2(path="/?callId=away-1", to=server)
    await by_request.send(type="subscribe", callId="away-1", lastSeq=0)
    for client in (at_once, by_request):
        with pytest.raises(ConnectionClosedError):
            await client.receive()
        assert (client.socket.close_code, client.socket.close_reason) == (1011, "Internal error")
