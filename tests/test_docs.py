"""What the docs show is what the server says: examples of docs/protocol.md, settings of the README."""

import asyncio
import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from alerts import filters
from alerts.credentials import mint
from tests.conftest import Connect
from tests.live import ROOT, LiveServer, an_alert, bearer, publisher_token, watcher_token
from tests.rights.tokens import forged
from tests.socket.conftest import V2

EXAMPLES = {
    name: json.loads(example)
    for name, example in re.findall(
        r"^```json (\w+)\n(.*?)^```", (ROOT / "docs/protocol.md").read_text(), re.DOTALL | re.MULTILINE
    )
}


def shape(value: Any) -> Any:
    """A frame's names and types, without its values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name not in ("data", "repeatOf")}
    return type(value)


async def test_every_example_of_the_server_has_the_shape_of_the_real_frame(server: LiveServer) -> None:
    headers = bearer(watcher_token(name="ann"))
    async with connect(server.ws("/ws/alerts"), additional_headers=headers) as socket:
        connected = json.loads(await socket.recv())
        await asyncio.to_thread(server.post, an_alert("docs-1", kind="overlap", channel="all", occurredAt=1))
        alert = json.loads(await socket.recv())
        await socket.send(json.dumps(EXAMPLES["ping"]))
        pong = json.loads(await socket.recv())
    for name, frame in (("connected", connected), ("alert", alert), ("pong", pong)):
        assert shape(EXAMPLES[name]) == shape(frame)


async def test_every_example_of_a_client_does_what_is_said(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe()
    await client.send(**EXAMPLES["subscribe"])
    await client.settled()
    server.post(an_alert("docs-2"), an_alert(EXAMPLES["subscribe"]["callId"]))
    assert (await client.receive())["callId"] == EXAMPLES["subscribe"]["callId"]
    await client.send(**EXAMPLES["unsubscribe"])
    await client.settled()


async def test_every_answer_of_version_2_has_the_shape_that_is_shown(server: LiveServer) -> None:
    call_id = EXAMPLES["subscribe_2"]["callId"]
    alerts = [an_alert(call_id, kind=f"docs {kind}", channel="all", occurredAt=1) for kind in range(6)]
    posted = await asyncio.to_thread(server.post, *alerts)
    grow_too_old(server, *(alert["id"] for alert in posted[:-1]))
    headers = bearer(forged(sub="ann", scope="subscribe acknowledge", exp=int(time.time()) + 50))
    async with connect(server.ws("/"), additional_headers=headers, subprotocols=V2) as socket:

        async def told(*names: str) -> None:
            for name in names:
                assert shape(json.loads(await asyncio.wait_for(socket.recv(), 10))) == shape(EXAMPLES[name]), name

        async def asked(name: str, *answers: str, **fresh: Any) -> None:
            await socket.send(json.dumps(EXAMPLES[name] | fresh))
            await told(*answers)

        await told("connected_2", "auth_expiring")
        await asked("resume", "resumed", since=2**52)
        await asked("subscribe_2", "subscribed", "gap", "alert")
        await asked("unsubscribe_2", "unsubscribed")
        await asked("ping_2", "pong_2")
        await asked("subscribe_2", "subscribed", lastSeq=1000)
        await socket.send(json.dumps(EXAMPLES["acknowledge"] | {"id": posted[-1]["id"]}))
        frames = {(frame := json.loads(await socket.recv()))["type"]: shape(frame) for _ in range(2)}
        assert frames == {name: shape(EXAMPLES[name.replace(".", "_")]) for name in ("acknowledged", "alert.updated")}
        await asked("auth", "authenticated", "call_lost", token=watcher_token("another", name="ann"))
        await asked("subscribe_2", "error")


def test_every_answer_of_rest_has_the_shape_that_is_shown(server: LiveServer) -> None:
    call_id, key = "docs-rest", "docs-rest-key"
    token = mint("ann", 60, ["subscribe", "acknowledge"], ["*"])

    def told(name: str, method: str, path: str, body: Any = None, token: str = token, **headers: str) -> Any:
        _, _, answer = server.exchange(method, f"/api/v1/{path}", body, token, **headers)
        assert shape(answer) == shape(EXAMPLES[name]), name
        return answer

    about = {"kind": "overlap", "channel": "all", "occurredAt": 1}
    *_, alert = server.post(an_alert(call_id, kind="x"), an_alert(call_id, kind="y"), an_alert(call_id, **about))
    path = f"alerts/{alert['id']}"
    server.call("POST", f"/api/v1/{path}/acknowledge/", EXAMPLES["rest_acknowledge"], token)
    server.call("POST", f"/api/v1/{path}/resolve/", None, token)
    told("rest_page", "GET", f"alerts/?callId={call_id}&pageSize=1")
    told("rest_conflict", "POST", f"{path}/acknowledge/", {}, mint("bob", 60, ["acknowledge"], ["*"]))
    assert told("rest_unreadable", "GET", "alerts/?severity=awful") == EXAMPLES["rest_unreadable"]
    told("rest_stats", "GET", "stats/")
    server.exchange("POST", "/api/v1/alerts/", an_alert(call_id), publisher_token(), Idempotency_Key=key)
    another = told("rest_key_used", "POST", "alerts/", an_alert("x"), publisher_token(), Idempotency_Key=key)
    assert another == EXAMPLES["rest_key_used"]
    call = server.call("GET", f"/api/v1/calls/{call_id}/", None, token)[1]
    assert call.keys() == EXAMPLES["rest_call"].keys()


def test_every_filter_is_in_the_table() -> None:
    page = (ROOT / "docs/protocol.md").read_text()
    table = re.search(r"^\| parameter \| alerts \|\n(.*?)\n\n", page, re.DOTALL | re.MULTILINE)
    assert table is not None
    rows = re.findall(r"^\| (`.*?`) \|", table[1], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(filters.PARAMETERS)


def grow_too_old(server: LiveServer, *ids: str) -> None:
    """Makes alerts older than what is sent again."""
    with closing(sqlite3.connect(server.env["DATABASE_URL"].removeprefix("sqlite:///"), timeout=20)) as database:
        for alert_id in ids:
            query = "UPDATE alerts_alert SET stored_at = stored_at - 90000000 WHERE id = ?"
            database.execute(query, [alert_id.replace("-", "")])
        database.commit()


def test_every_code_of_an_error_is_in_the_table() -> None:
    page = (ROOT / "docs/protocol.md").read_text()
    told = set(re.findall(r"^\| `([a-z]+_[a-z_]+|forbidden)` \|", page, re.MULTILINE))
    sources = [(ROOT / "alerts" / name).read_text() for name in ("frames.py", "consumers.py")]
    sent = {code for source in sources for code in re.findall(r"(?:Malformed|error)\(\s*\"(\w+)\"", source)}
    assert sent == told


async def test_the_goodbye_is_as_shown(own_server: Any) -> None:
    server = own_server()
    headers = bearer(watcher_token())
    async with (
        connect(server.ws("/"), additional_headers=headers) as old,
        connect(server.ws("/"), additional_headers=headers, subprotocols=V2) as new,
    ):
        for socket in (old, new):
            await socket.recv()
        await asyncio.to_thread(server.stop)
        assert shape(json.loads(await old.recv())) == shape(EXAMPLES["server_shutdown"])
        assert shape(json.loads(await new.recv())) == shape(EXAMPLES["server_shutdown_2"])


def test_every_setting_is_in_the_readme_and_the_other_way_round() -> None:
    read = set(
        re.findall(r"(?:text|whole|flag|listed)\(\s*\"([A-Z_]+)\"", Path(ROOT, "alertsite/settings.py").read_text())
    )
    table = Path(ROOT, "README.md").read_text().replace("`…_PER_USER`", "`ALERT_MAX_SUBSCRIBERS_PER_USER`")
    told = set(re.findall(r"`([A-Z][A-Z_]{3,})`", "".join(re.findall(r"^\| `.*? \|", table, re.MULTILINE))))
    assert read - {"DEMO_PASSWORD"} == told


def test_every_guarantee_names_a_test_that_there_is() -> None:
    """Each row of the table in docs/guarantees.md: what holds, what it survives, `file::test`."""
    page = (ROOT / "docs/guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) >= page.count("\n| ") - 1
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{test}"
