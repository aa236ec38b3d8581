"""Several processes, and what they stand on going away: nothing accepted is lost, doubled or out of order."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import HTTPException
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_and_block

from tests.live import (
    MEDIA_TOKEN,
    ROOT,
    LiveServer,
    an_alert,
    bearer,
    publisher_token,
    wait_until_listening,
    watcher_token,
)
from tests.production.conftest import Make
from tests.services import Postgres, Redis, free_port


@asynccontextmanager
async def watching(server: LiveServer, *calls: str) -> AsyncIterator[list[ClientConnection]]:
    """One who sees every call, and one for each named call."""
    async with AsyncExitStack() as stack:
        sockets = []
        for path in ("/ws/alerts", *(f"/ws/alerts?callId={call}" for call in calls)):
            opening = connect(server.ws(path), additional_headers=bearer(watcher_token()), open_timeout=30)
            sockets.append(await stack.enter_async_context(opening))
        for socket in sockets:
            assert json.loads(await asyncio.wait_for(socket.recv(), 30))["type"] == "connected"
            await socket.send('{"type":"ping"}')
            assert json.loads(await asyncio.wait_for(socket.recv(), 30))["type"] == "pong"
        yield sockets


async def seqs(socket: ClientConnection, count: int) -> list[int]:
    """The places of the next alerts."""
    return [json.loads(await asyncio.wait_for(socket.recv(), 60))["seq"] for _ in range(count)]


def post_some(server: LiveServer, call: str, first: int, count: int) -> list[int]:
    """Posts alerts one by one; an answer that does not come, or a 503, is asked for again as it tells one to."""
    posted = []
    for number in range(first, first + count):
        alert = an_alert(call, kind=f"kind {number}", externalId=f"{call} {number}")
        end = time.monotonic() + 60
        while True:
            try:
                posted += [result["seq"] for result in server.post(alert)]
                break
            except (AssertionError, OSError, HTTPException):
                assert time.monotonic() < end
                time.sleep(0.2)
    return posted


async def test_two_processes_posting_about_one_call_at_once_make_one_sequence_that_both_show(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database, layer = postgres.url(), redis.url()
    servers = [serve(database, layer), serve(database, layer)]
    async with watching(servers[0], "both") as first, watching(servers[1], "both") as second:
        posts = [
            asyncio.to_thread(post_some, server, "both", start, 10)
            for start in range(0, 80, 20)
            for server, start in zip(servers, (start, start + 10), strict=True)
        ]
        given = sorted(seq for seqs in await asyncio.gather(*posts) for seq in seqs)
        assert given == list(range(1, 81))
        for socket in (*first, *second):
            assert await seqs(socket, 80) == given


async def test_two_processes_may_post_the_first_alerts_of_a_call_at_once(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database, layer = postgres.url(), redis.url()
    servers = [serve(database, layer), serve(database, layer)]
    for number in range(20):
        posts = (asyncio.to_thread(server.post, an_alert(f"new-{number}", kind=server.url(""))) for server in servers)
        assert sorted(answer[0]["seq"] for answer in await asyncio.gather(*posts)) == [1, 2]


async def test_one_external_id_posted_by_two_processes_about_two_calls_is_one_alert(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database, layer = postgres.url(), redis.url()
    servers = [serve(database, layer), serve(database, layer)]
    for number in range(20):
        alerts = [an_alert(f"race-{number}-{side}", externalId=f"same {number}") for side in (0, 1)]
        answers = await asyncio.gather(
            *(asyncio.to_thread(server.post, alert) for server, alert in zip(servers, alerts, strict=True))
        )
        assert answers[0][0]["id"] == answers[1][0]["id"]


async def test_alerts_posted_while_redis_is_away_and_after_reach_the_subscribers_of_both_processes(
    own_redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database, layer = postgres.url(), own_redis.url()
    servers = [serve(database, layer), serve(database, layer)]
    async with watching(servers[0], "away") as first, watching(servers[1], "away") as second:
        await asyncio.to_thread(post_some, servers[0], "away", 0, 5)
        own_redis.stop(signal.SIGKILL)
        for start, server in ((5, servers[0]), (10, servers[1])):
            await asyncio.to_thread(post_some, server, "away", start, 5)
        for socket in (*first, *second):
            assert await seqs(socket, 15) == list(range(1, 16))
        own_redis.start()
        for start, server in ((15, servers[0]), (20, servers[1])):
            await asyncio.to_thread(post_some, server, "away", start, 5)
        for socket in (*first, *second):
            assert await seqs(socket, 10) == list(range(16, 26))


async def test_an_alert_that_was_read_back_is_the_same_bytes_as_the_one_that_was_sent(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database = postgres.url()
    servers = [serve(database, redis.url()), serve(database, redis.url())]  # each on a Redis number of its own
    data = {"zeta": 1e22, "a": {"longer": 0.1, "b": [1.0, 1, -0.0, 1e-9]}, "é\u2028": "\u2764", "event": {"type": "x"}}
    async with watching(servers[0], "bytes") as heard, watching(servers[1], "bytes") as read:
        await asyncio.to_thread(servers[0].post, an_alert("bytes", kind="k", channel="c", occurredAt=1, data=data))
        frames = {await asyncio.wait_for(socket.recv(), 60) for socket in (*heard, *read)}
    [frame] = frames
    assert json.loads(frame)["data"] == data


async def test_who_subscribes_while_redis_is_away_gets_alerts_too(
    own_redis: Redis, postgres: Postgres, serve: Make
) -> None:
    server = serve(postgres.url(), own_redis.url())
    own_redis.stop(signal.SIGKILL)
    async with watching(server, "late") as sockets:
        await asyncio.to_thread(post_some, server, "late", 0, 5)
        for socket in sockets:
            assert await seqs(socket, 5) == list(range(1, 6))
    own_redis.start()


async def test_alerts_wait_for_a_database_that_restarts_and_none_is_lost_or_doubled(
    redis: Redis, own_postgres: Postgres, serve: Make
) -> None:
    database, layer = own_postgres.url(), redis.url()
    servers = [serve(database, layer), serve(database, layer)]
    async with watching(servers[0], "restart") as first, watching(servers[1], "restart") as second:
        posting = [
            asyncio.create_task(asyncio.to_thread(post_some, server, "restart", start, 40))
            for server, start in zip(servers, (0, 40), strict=True)
        ]
        await seqs(first[0], 10)
        await asyncio.to_thread(own_postgres.stop)
        await asyncio.sleep(1)
        await asyncio.to_thread(own_postgres.start)
        given = [await posted for posted in posting]
        assert sorted(given[0] + given[1]) == list(range(1, 81))
        assert await seqs(first[0], 70) == list(range(11, 81))
        for socket in (first[1], *second):
            assert await seqs(socket, 80) == list(range(1, 81))


def test_while_the_database_is_away_a_post_is_503_and_when_it_is_back_all_who_post_at_once_are_served(
    own_postgres: Postgres, serve: Make
) -> None:
    server = serve(own_postgres.url())

    def post(number: int) -> int:
        return server.call("POST", "/api/v1/alerts/", an_alert("crowd", kind=str(number)), publisher_token())[0]

    assert post(0) == 201
    own_postgres.stop()
    assert post(1) == 503
    with connect_and_block(server.ws("/ws/alerts"), additional_headers=bearer(watcher_token())) as refused:
        with contextlib.suppress(ConnectionClosed):
            refused.recv(30)
        assert refused.close_code == 1011
    own_postgres.start()
    with ThreadPoolExecutor(40) as crowd:
        assert list(crowd.map(post, range(2, 42))) == [201] * 40


async def test_a_second_server_on_another_port_leaves_the_calls_of_the_first_alone(
    serve: Make, postgres: Postgres
) -> None:
    first = serve(postgres.url())

    def active() -> bool:
        return bool(first.rows("SELECT 1 FROM alerts_call WHERE call_id = 'live' AND active"))

    def a_second_has_started() -> None:
        port = free_port()
        command = [sys.executable, "manage.py", "serve", "--port", str(port)]
        with subprocess.Popen(command, cwd=ROOT, env=first.env) as second:
            wait_until_listening(port, second)
            second.terminate()

    async with calling(first.port, "live"):
        await until(active)
        await asyncio.to_thread(a_second_has_started)
        assert active()


def children(server: LiveServer) -> dict[int, str]:
    """The processes under a server, and what each is for."""
    parent = server.process.pid
    found = {}
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has just ended
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "--role" in words:
                found[int(pid)] = words[words.index("--role") + 1]
    return found


def has_ended(pid: int) -> bool:
    """Whether a process runs no more; one that nobody waited for is still listed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def until(condition: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_a_process_that_is_killed_is_started_again_and_loses_no_accepted_alert(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    server = serve(postgres.url(), redis.url(), workers=2)
    posting = asyncio.create_task(asyncio.to_thread(post_some, server, "killed", 0, 60))
    for _ in range(3):
        await until(lambda: sorted(children(server).values()) == ["hearing", "web", "web"])
        pid = next(pid for pid, role in children(server).items() if role == "web")
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: has_ended(pid))
    assert await posting == list(range(1, 61))
    await until(lambda: sorted(children(server).values()) == ["hearing", "web", "web"])
    async with watching(server, "killed") as sockets:
        await asyncio.to_thread(post_some, server, "killed", 60, 5)
        for socket in sockets:
            assert await seqs(socket, 5) == list(range(61, 66))
    assert server.log.count("a web process ended with -9") == 3
    assert server.stop() == 0


async def test_a_thousand_subscribers_are_told_and_closed_when_the_server_stops(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    server = serve(postgres.url(), redis.url(), workers=2)
    processes = children(server)
    opening = [open_one(server, f"user-{number % 50}") for number in range(1000)]
    sockets = [
        socket for start in range(0, 1000, 100) for socket in await asyncio.gather(*opening[start : start + 100])
    ]
    await asyncio.to_thread(server.post, an_alert("stops"))
    assert await asyncio.to_thread(server.stop) == 0
    ends = await asyncio.gather(*(to_the_end(socket) for socket in sockets))
    assert all(types == ["call_event", "server_shutdown"] for types, _ in ends)
    assert {closed for _, closed in ends} == {(1001, "Server shutting down")}
    assert all(has_ended(pid) for pid in processes)


async def open_one(server: LiveServer, name: str) -> ClientConnection:
    socket = await connect(server.ws("/"), additional_headers=bearer(watcher_token(name=name)), open_timeout=60)
    assert json.loads(await asyncio.wait_for(socket.recv(), 60))["type"] == "connected"
    await socket.send('{"type":"ping"}')
    assert json.loads(await asyncio.wait_for(socket.recv(), 60))["type"] == "pong"
    return socket


async def to_the_end(socket: ClientConnection) -> tuple[list[str], tuple[int | None, str | None]]:
    """The types of the frames that come until the server closes, and its code and reason."""
    types = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            types.append(json.loads(await asyncio.wait_for(socket.recv(), 60))["type"])
    return types, (socket.close_code, socket.close_reason)


async def test_children_of_a_parent_that_was_killed_drain_and_end(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    server = serve(postgres.url(), redis.url(), workers=2)
    await until(lambda: len(children(server)) == 3)
    processes = children(server)
    server.stop(signal.SIGKILL)
    await until(lambda: all(has_ended(pid) for pid in processes))


async def test_calls_are_heard_by_one_process_alone(
    redis: Redis,
    postgres: Postgres,
    serve: Make,
) -> None:
    server = serve(postgres.url(), redis.url(), workers=2)
    path = f"/media/pcm/?token={MEDIA_TOKEN}&call_id=heard-once"
    async with connect(server.ws(path)) as elsewhere:
        assert await to_the_end(elsewhere) == ([], (1013, f"Calls are heard on port {server.media_port}"))
    async with watching(server, "heard-once") as (_, subscriber):
        async with calling(server.media_port, "heard-once"):
            await until(lambda: len(server.rows("SELECT 1 FROM alerts_alert")) == 1)
        await asyncio.to_thread(server.post, an_alert("heard-once"))
        assert json.loads(await asyncio.wait_for(subscriber.recv(), 30))["seq"] > 1
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{server.media_port}/ws/alerts", additional_headers=bearer(watcher_token()))


@asynccontextmanager
async def calling(port: int, call: str) -> AsyncIterator[ClientConnection]:
    """A phone system whose call has begun."""
    async with connect(f"ws://127.0.0.1:{port}/media/pcm/?token={MEDIA_TOKEN}&call_id={call}") as phone:
        assert json.loads(await asyncio.wait_for(phone.recv(), 30))["type"] == "Ready"
        await phone.send(bytes(1600))
        yield phone


async def test_calls_that_a_killed_process_heard_are_closed_and_those_of_another_server_go_on(
    redis: Redis, postgres: Postgres, serve: Make
) -> None:
    database, layer = postgres.url(), redis.url()
    one, other = serve(database, layer, workers=2), serve(database, layer)

    def active() -> list[str]:
        return [call for (call,) in one.rows("SELECT call_id FROM alerts_call WHERE active ORDER BY call_id")]

    async with calling(other.port, "of-the-other"):
        with contextlib.suppress(ConnectionClosed):
            async with calling(one.media_port, "killed"):
                await until(lambda: active() == ["killed", "of-the-other"])
                os.kill(next(pid for pid, role in children(one).items() if role == "hearing"), signal.SIGKILL)
        async with calling(one.media_port, "next"):
            await until(lambda: active() == ["next", "of-the-other"])


@pytest.mark.parametrize("workers", ["2", "0", "many"])
def test_a_number_of_workers_that_cannot_be_is_one_line_and_exit_code_2(workers: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--workers", workers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"{workers}" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("REDIS_URL", "http://:secret@host"), ("DATABASE_URL", "mysql://me:secret@host/name"), ("MEDIA_PORT", "media")],
)
def test_a_setting_that_cannot_be_read_is_named_without_its_password(name: str, value: str) -> None:
    command = [sys.executable, "manage.py", "serve"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {name: value}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert name in done.stderr.splitlines()[-1]
    assert "secret" not in done.stderr.splitlines()[-1]
