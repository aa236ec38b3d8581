"""What those lack who come back to every call: read once for all of them, and each answered as if they came alone."""

import asyncio
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from alerts import dispatch, missed
from alerts.access import Credential, Principal
from alerts.missed import Missed, Resumption
from alerts.models import Alert, Call
from alerts.writer import now_ms
from tests.alerts.test_hub import an_alert

pytestmark = pytest.mark.django_db(transaction=True)
CALLS = ("a", "b", "a", "a", "b", "c", "a", "b")
STEP_MS = 1000
AT_MOST = 3
EVERYTHING = Principal(Credential("ann"), everything=True)
OF_A = Principal(Credential("bob", calls=frozenset("a")))
EVERYTHING_TOO = Principal(Credential("eve"), everything=True)

Row = tuple[UUID, str, int, int | None]  # an alert's id, its call's, when it was stored, and when it was changed


async def stored(began: int) -> list[Row]:
    """One alert a second; two of three were changed, in an order of its own."""
    alerts = await asyncio.wrap_future(dispatch.report(*(an_alert(call) for call in CALLS)))
    await asyncio.to_thread(dispatch.close, 10)
    rows: list[Row] = []
    for number, (call, alert) in enumerate(zip(CALLS, alerts, strict=True)):
        changed_at = began + (number * 3 % len(CALLS)) * STEP_MS + 500 if number % 3 else None
        rows.append((alert.id, call, began + number * STEP_MS, changed_at))

    def write() -> None:
        for number, (key, _, stored_at, changed_at) in enumerate(rows):
            update_no = None if changed_at is None else number
            Alert.objects.filter(pk=key).update(stored_at=stored_at, changed_at=changed_at, update_no=update_no)
        Call.objects.update(changed_at=now_ms())

    await sync_to_async(write)()
    return rows


def expected(rows: list[Row], principal: Principal, since: int) -> tuple[list[UUID], list[UUID], bool]:
    seen = [row for row in rows if principal.sees(row[1], None)]
    later = [row for row in seen if row[2] >= since - missed.REACHES_BACK_MS]
    sent = later[-AT_MOST:]
    changed = [row for row in seen if row not in later and (row[3] or 0) >= since - missed.REACHES_BACK_MS]
    changed.sort(key=lambda row: row[3] or 0)
    room = AT_MOST - len(sent)
    told = changed[len(changed) - room :] if room < len(changed) else changed
    return [row[0] for row in sent], [row[0] for row in told], later == sent and told == changed


async def test_who_come_back_together_are_each_told_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "MAX_REPLAYED", AT_MOST)
    began = now_ms()
    rows = await stored(began)
    whole = [
        Resumption(who, began + missed.REACHES_BACK_MS + ms)
        for who in (EVERYTHING, OF_A, EVERYTHING_TOO)
        for ms in range(-STEP_MS, (len(CALLS) + 2) * STEP_MS, STEP_MS // 2)
    ]

    def told(answer: Missed) -> tuple[list[UUID], list[UUID], bool]:
        return [key for key, _ in answer.alerts], [key for key, _ in answer.changed], answer.recovered

    answers = await sync_to_async(missed.of_all)(whole)
    assert {one: told(answers[one]) for one in whole} == {
        one: expected(rows, one.principal, one.since) for one in whole
    }
