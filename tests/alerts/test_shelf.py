"""Alerts that are sent again, read once for all who ask: never older than what they ask for."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F

from alerts import dispatch, rights
from alerts.models import Alert, Call, RightsVersion, Team
from alerts.shelf import Shelf
from alerts.threads import SharedReads
from tests.alerts.test_hub import an_alert

pytestmark = pytest.mark.django_db(transaction=True)


async def raised(*calls: str) -> list[UUID]:
    stored = await asyncio.wrap_future(dispatch.report(*(an_alert(call) for call in calls)))
    await asyncio.to_thread(dispatch.close, 10)
    return [one.id for one in stored]


async def test_alerts_come_in_the_order_that_was_asked_for_without_those_that_are_gone() -> None:
    first, gone, last = await raised("a", "b", "a")
    await sync_to_async(Alert.objects.filter(pk=gone).delete)()
    copies = await Shelf().get([(last, 0), (gone, 0), (first, 0)], -1)
    assert [copy.alert.seq for copy in copies] == [2, 1]
    assert [copy.change for copy in copies] == [None, None]


async def test_a_copy_that_knows_enough_changes_is_not_looked_at_again_and_another_is() -> None:
    [key] = await raised("a")
    shelf = Shelf()
    await shelf.get([(key, 0)], -1)
    await sync_to_async(change)(key)
    assert (await shelf.get([(key, 0)], -1))[0].version == 1
    [copy] = await shelf.get([(key, 1)], -1)
    assert copy.version == 2
    assert copy.change is not None
    assert '"version":2' in copy.alert.body
    assert '"note":"seen"' in copy.change.body


def change(key: UUID) -> None:
    """As the writer does it."""
    Alert.objects.filter(pk=key).update(note="seen", version=F("version") + 1, update_no=1, changed_at=1)
    Call.objects.filter(alerts=key).update(last_update=1)


async def test_a_copy_from_before_a_change_of_rights_is_looked_at_again() -> None:
    [key] = await raised("a")
    shelf = Shelf()
    [before] = await shelf.get([(key, 0)], -1)
    version = await sync_to_async(give_to_a_team)()
    [after] = await shelf.get([(key, 0)], version)
    assert before.alert.team is None
    assert after.alert.team is not None


def give_to_a_team() -> int:
    Call.objects.update(team=Team.objects.create(slug="red"))
    rights.changed()
    return RightsVersion.current()


async def test_what_is_kept_is_bounded_and_what_was_forgotten_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.shelf.MAX_SIZE", 1000)
    keys = await raised(*"abcdefgh")
    shelf = Shelf()
    for _ in range(2):
        copies = await shelf.get([(key, 0) for key in keys], -1)
        assert [copy.alert.call_id for copy in copies] == list("abcdefgh")
        assert len(shelf) < len(keys)


async def test_who_asks_while_a_read_is_under_way_shares_the_next_one() -> None:
    reads: list[Collection[str]] = []

    def read(questions: Collection[str]) -> dict[str, int]:
        reads.append(questions)
        return dict.fromkeys(questions, len(reads))

    shared = SharedReads(read)
    first = asyncio.create_task(shared.ask(["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # its read has begun
    others = [asyncio.create_task(shared.ask([name])) for name in ("a", "b", "b")]
    await asyncio.sleep(0)
    others[1].cancel()
    assert await first == {"a": 1}
    assert [(await other)[name] for other, name in ((others[0], "a"), (others[2], "b"))] == [2, 2]
    assert reads == [{"a"}, {"a", "b"}]
