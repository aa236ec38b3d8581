"""The numbers of `stats/`: subscribers of every process, calls in progress that one may see."""

import asyncio
import shutil
import time
import uuid
from typing import Any

from websockets.asyncio.client import connect

from tests.conftest import Connect
from tests.live import MEDIA_TOKEN, LiveServer, publisher_token, watcher_token
from tests.rights.people import manage, second_server
from tests.test_trip import closed, in_progress

COUNT = "from alerts.attendance import subscriber_count; print(subscriber_count())"


def stats(server: LiveServer, token: str | None = None) -> dict[str, int]:
    status, answer = server.call("GET", "/api/v1/stats/", token=token or watcher_token())
    assert status == 200, answer
    return dict(answer)


async def _until(server: LiveServer, subscribers: int) -> None:
    for _ in range(300):
        if (await asyncio.to_thread(stats, server))["subscribers"] == subscribers:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{stats(server)} instead of {subscribers}")


async def test_subscribers_are_counted_on_every_process_from_when_they_are_let_in_until_they_leave(
    own_server: Any, subscribe: Connect
) -> None:
    first = own_server()
    second = second_server(first)
    try:
        clients = [await subscribe(to=first) for _ in range(3)]
        assert stats(first)["subscribers"] == 3
        await _until(second, 3)
        command = await asyncio.to_thread(manage, first, "shell", "--no-imports", "-c", COUNT)
        assert command.stdout == "3\n"
        await clients[0].socket.close()
        await _until(first, 2)
        await _until(second, 2)
        await asyncio.to_thread(first.stop)
        await _until(second, 0)
        _tell(first, now_ms(), 5)
        assert stats(second)["subscribers"] == 5
        _tell(first, now_ms() - 31_000, 5)  # it was killed
        assert stats(second)["subscribers"] == 0
    finally:
        second.stop()
        shutil.rmtree(second.folder)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _tell(server: LiveServer, told_at: int, subscribers: int) -> None:
    server.alter("DELETE FROM alerts_attendance WHERE process = 'a process'")
    row = "INSERT INTO alerts_attendance (process, subscribers, told_at) VALUES ('a process', ?, ?)"
    server.alter(row, subscribers, told_at)


async def test_calls_in_progress_are_counted_for_who_may_see_them(server: LiveServer) -> None:
    call_id = f"stats-{uuid.uuid4().hex}"
    headers = {"Authorization": f"Bearer {MEDIA_TOKEN}"}
    mine, anothers = watcher_token(call_id), watcher_token("another")
    async with connect(server.ws(f"/media/pcm/?call_id={call_id}"), additional_headers=headers) as socket:
        await socket.send(bytes(320))
        await in_progress(server, call_id)
        assert [stats(server, token)["activeCalls"] for token in (mine, anothers)] == [1, 0]
    await closed(server, call_id)
    assert stats(server, mine)["activeCalls"] == 0


def test_the_numbers_are_for_readers(server: LiveServer) -> None:
    assert server.call("GET", "/api/v1/stats/")[0] == 401
    assert server.call("GET", "/api/v1/stats/", token=publisher_token())[0] == 403
    assert server.call("GET", "/api/v1/stats/?of=me", token=watcher_token())[0] == 400
