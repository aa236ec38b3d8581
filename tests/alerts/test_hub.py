"""The hub on layers of every badness: each subscriber gets each alert of its calls once, in order, and no older one."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import connection

from alerts import dispatch, repair
from alerts.access import anybody
from alerts.hub import Hub
from alerts.models import Alert, Call, Severity
from alerts.repair import Standing
from alerts.subscriber import Subscriber
from alerts.writer import Report

pytestmark = pytest.mark.django_db(transaction=True)
GOOD: dict[str, Any] = {}
DEAF = {"lost": 1.0}
BAD = {"lost": 0.3, "doubled": 0.3, "late_s": 0.2}


class Watcher:
    """A subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.subscriber = Subscriber(anybody(""), self._send, self._close)

    async def _send(self, text: str) -> None:
        self.texts.append(text)

    async def _close(self, code: int, reason: str) -> None:
        raise AssertionError(f"closed with {code} {reason}")

    def seqs(self, call_id: str) -> list[int]:
        return [alert["seq"] for alert in map(json.loads, self.texts) if alert.get("callId", "") == call_id]

    async def has(self, call_id: str, seqs: list[int]) -> None:
        """Waits until it has these alerts of a call; then it must have no others."""
        await until(lambda: len(self.seqs(call_id)) >= len(seqs))
        assert self.seqs(call_id) == seqs


Start = Callable[..., Hub]


@pytest.fixture
async def start(settings: Any) -> AsyncIterator[Start]:
    """Starts hubs, all on one layer, which is as bad as the test says."""
    hubs: list[Hub] = []

    def started(**badness: Any) -> Hub:
        if not hubs:
            layer = {"BACKEND": "tests.alerts.layers.BadLayer", "CONFIG": badness}
            settings.CHANNEL_LAYERS = {"default": layer}
        hubs.append(Hub())
        hubs[-1].start()
        return hubs[-1]

    yield started
    for hub in hubs:
        for subscriber in hub.subscribers():
            await hub.remove(subscriber)
        await hub.stop()
    await asyncio.to_thread(dispatch.close, 10)


async def watch(hub: Hub, call_id: str | None = None) -> Watcher:
    watcher = Watcher()
    await hub.add(watcher.subscriber, call_id)
    return watcher


def an_alert(call_id: str, **more: Any) -> Report:
    return Report("call_summary", Severity.INFO, "A title", "a message", call_id, **more)


async def raise_some(count: int, *calls: str) -> None:
    for _ in range(count):
        await asyncio.wrap_future(dispatch.report(*(an_alert(call_id) for call_id in calls)))


@pytest.mark.parametrize("badness", [GOOD, BAD, DEAF], ids=["good", "bad", "deaf"])
async def test_every_alert_comes_once_and_in_order_whatever_the_layer_does(
    start: Start, badness: dict[str, Any]
) -> None:
    hubs = [start(**badness), start(**badness)]
    calls = ("a", "b", "c", "")
    everything = [await watch(hub) for hub in hubs]
    followers = {call_id: await watch(hubs[0], call_id) for call_id in ("a", "b")}
    await raise_some(40, *calls)
    for watcher in everything:
        for call_id in calls:
            await watcher.has(call_id, list(range(1, 41)))
    for call_id, watcher in followers.items():
        await watcher.has(call_id, list(range(1, 41)))
        await watcher.has("", list(range(1, 41)))
        assert len(watcher.texts) == 80
    assert sorted(everything[0].texts) == sorted(everything[1].texts)


@pytest.mark.parametrize("badness", [GOOD, DEAF], ids=["good", "deaf"])
@pytest.mark.parametrize("call_id", [None, "old"], ids=["every call", "this call"])
@pytest.mark.parametrize("age_ms", [0, 120_000], ids=["just before", "minutes before"])
async def test_what_was_sent_before_somebody_came_is_not_delivered_late(
    start: Start, badness: dict[str, Any], call_id: str | None, age_ms: int
) -> None:
    await raise_some(5, "old")
    await sync_to_async(grow_old)(age_ms)
    watcher = await watch(start(**badness), call_id)
    await raise_some(3, "old", "new")
    await watcher.has("old", [6, 7, 8])
    if call_id is None:
        await watcher.has("new", [1, 2, 3])


@pytest.mark.parametrize("call_id", [None, "one"], ids=["every call", "this call"])
async def test_many_who_come_at_once_are_served_by_few_reads(
    start: Start, monkeypatch: pytest.MonkeyPatch, call_id: str | None
) -> None:
    reads: list[Any] = []

    def counted(which: Any) -> list[Any]:
        reads.append(which)
        return found(which)

    found = repair._standings
    monkeypatch.setattr(repair, "_standings", counted)
    monkeypatch.setattr("alerts.hub.POLL_S", 3600.0)
    hub = start(**GOOD)
    watchers = await asyncio.gather(*(watch(hub, call_id) for _ in range(100)))
    assert len(reads) <= 6
    await raise_some(1, "one")
    for watcher in watchers:
        await watcher.has("one", [1])


def grow_old(age_ms: int) -> None:
    for call in Call.objects.all():
        Call.objects.filter(pk=call.pk).update(changed_at=call.changed_at - age_ms)
    for alert in Alert.objects.all():
        Alert.objects.filter(pk=alert.pk).update(stored_at=alert.stored_at - age_ms)


async def test_a_follower_misses_nothing_when_the_last_who_follows_every_call_leaves(start: Start) -> None:
    hub = start(**DEAF)
    every, follower = await watch(hub), await watch(hub, "quiet")
    await hub.remove(every.subscriber)
    await raise_some(1, "quiet")
    await follower.has("quiet", [1])


async def test_a_subscriber_that_was_let_go_while_its_rights_were_looked_up_is_not_put_back(start: Start) -> None:
    hub = start(**GOOD)
    gone, other = await watch(hub), await watch(hub)
    await hub.remove(gone.subscriber)
    await hub.follow(gone.subscriber, "a-call")
    await raise_some(1, "a-call")
    await other.has("a-call", [1])
    assert gone.texts == []
    assert gone.subscriber.calls == set()


async def test_a_burst_that_is_larger_than_one_read_comes_whole(start: Start) -> None:
    watcher = await watch(start(**DEAF))
    for _ in range(2):
        await asyncio.wrap_future(dispatch.report(*(an_alert("burst") for _ in range(900))))
    await watcher.has("burst", list(range(1, 1801)))


async def test_alerts_that_were_pruned_before_they_were_read_hold_up_no_later_one(start: Start) -> None:
    watcher = await watch(start(**DEAF), "pruned")
    await sync_to_async(Call.objects.create)(call_id="pruned", started_at=0, last_seq=5)
    await raise_some(2, "pruned")
    await watcher.has("pruned", [6, 7])


async def test_a_call_that_is_left_and_followed_again_brings_nothing_from_between(start: Start) -> None:
    hub = start(**DEAF)
    first = await watch(hub, "again")
    await raise_some(2, "again")
    await first.has("again", [1, 2])
    await hub.remove(first.subscriber)
    await raise_some(2, "again")
    second = await watch(hub, "again")
    await raise_some(2, "again")
    await second.has("again", [5, 6])


async def test_a_layer_that_went_deaf_is_joined_anew(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.membership.HEARTBEAT_S", 0.2)
    monkeypatch.setattr("alerts.hub.POLL_S", 3600.0)  # what comes, comes by the layer
    watcher = await watch(start(**GOOD), "deaf")
    await raise_some(1, "deaf")
    await watcher.has("deaf", [1])
    layer: Any = get_channel_layer()
    layer.lost = 1.0
    layer.groups.clear()
    await until(lambda: bool(layer.groups))
    layer.lost = 0.0
    await asyncio.sleep(1.5)
    await raise_some(1, "deaf")
    await watcher.has("deaf", [1, 2])


async def test_a_group_is_joined_again_before_the_layer_forgets_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.membership.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("alerts.membership.REJOINED_S", 0.1)
    monkeypatch.setattr("alerts.hub.POLL_S", 3600.0)
    watcher = await watch(start(**GOOD), "kept")
    layer: Any = get_channel_layer()
    layer.groups.clear()
    await until(lambda: bool(layer.groups))
    await raise_some(1, "kept")
    await watcher.has("kept", [1])


async def test_a_group_is_kept_for_who_comes_back_and_left_later(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.membership.HEARTBEAT_S", 0.1)
    hub = start(**GOOD)
    layer: Any = get_channel_layer()
    watcher = await watch(hub, "churn")
    joined = set(layer.groups)
    await hub.remove(watcher.subscriber)
    await asyncio.sleep(0.5)
    assert set(layer.groups) == joined
    monkeypatch.setattr("alerts.membership.KEPT_S", 0.0)
    again = await watch(hub, "churn")
    await hub.remove(again.subscriber)
    await until(lambda: not layer.groups)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if not condition():
            await asyncio.sleep(0.05)
    assert condition()


async def test_calls_that_somebody_follows_are_not_forgotten_however_many_they_are(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.hub.CALLS_REMEMBERED", 2)
    hub = start(**GOOD)
    watchers = {call_id: await watch(hub, call_id) for call_id in "abcd"}
    await raise_some(3, *watchers)
    for call_id, watcher in watchers.items():
        await watcher.has(call_id, [1, 2, 3])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite counts the parameters of a statement")
def test_more_calls_than_one_statement_takes_are_looked_up() -> None:
    Call.objects.create(call_id="call 39999", started_at=0, last_seq=7)
    connection.ensure_connection()
    before = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)  # as it is built by default
    try:
        assert repair.standings([f"call {number}" for number in range(40_000)]) == {"call 39999": Standing(7)}
    finally:
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, before)
