"""The hub in one process: who is handed what. Its subscribers write into lists."""

import asyncio
from typing import Any

import pytest

from alerts.access import Credential, Principal
from alerts.hub import Hub
from alerts.publish import Published, attach, drain, publish
from alerts.subscriber import Subscriber


class Reader:
    """A subscriber that keeps what it was sent."""

    def __init__(self, **rights: Any) -> None:
        self.got: list[str] = []
        self.subscriber = Subscriber(Principal(Credential("ann"), **rights), self._send, self._close)

    async def _send(self, text: str) -> None:
        self.got.append(text)

    async def _close(self, code: int, reason: str) -> None:
        self.got.append(f"closed {code} {reason}")


@pytest.fixture
async def hub() -> Any:
    hub = Hub()
    yield hub
    for subscriber in hub.subscribers():
        await hub.remove(subscriber)
    attach(None)
    if hub._task is not None:  # the process's own ends with the process
        hub._task.cancel()


async def delivered(*alerts: Published) -> None:
    publish(alerts)
    await drain()
    for _ in range(10):
        await asyncio.sleep(0)


def about(call_id: str, seq: int) -> Published:
    return Published(call_id, None, seq, "call_event", f"{call_id} {seq}")


async def test_a_subscriber_that_was_let_go_while_its_rights_were_looked_up_is_not_put_back(hub: Hub) -> None:
    gone, other = Reader(everything=True), Reader(everything=True)
    await hub.add(gone.subscriber)
    await hub.add(other.subscriber)
    await hub.remove(gone.subscriber)
    await hub.follow(gone.subscriber, "a-call")
    await delivered(about("a-call", 1))
    assert (gone.got, other.got) == ([], ["a-call 1"])
    assert gone.subscriber.calls == set()


async def test_an_alert_that_comes_by_both_groups_is_written_once(hub: Hub) -> None:
    reader = Reader(everything=True)
    await hub.add(reader.subscriber, "a-call")
    every = Reader(everything=True)
    await hub.add(every.subscriber)
    await delivered(about("a-call", 1), about("a-call", 2), about("another", 1))
    assert reader.got == ["a-call 1", "a-call 2"]
    assert every.got == ["a-call 1", "a-call 2", "another 1"]
