"""What Python code in the same process may use: report, summarise, history, subscriber_count."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from alerts import history, report, subscriber_count, summarise

pytestmark = pytest.mark.usefixtures("_writing")


def test_what_is_reported_is_stored_and_read_back_oldest_first() -> None:
    for number in range(4):
        stored = report("anomaly", "low", f"Title {number}", "m", call_id="c", kind=str(number)).result(10)
        assert stored.seq == number + 1
    summarise("other", "They agreed.").result(10)
    assert [alert["title"] for alert in history(call_id="c")] == [f"Title {number}" for number in range(4)]
    assert [alert["message"] for alert in history(limit=2)] == ["m", "They agreed."]
    (summary,) = history(call_id="other")
    assert (summary["type"], summary["kind"], summary["data"]) == (
        "call_summary",
        "summary",
        {"summary": "They agreed."},
    )


def test_every_field_of_an_alert_may_be_given() -> None:
    more: dict[str, Any] = {"kind": "k", "channel": "agent", "data": {"a": [1.5]}, "actionable": True}
    told = report("call_event", "critical", "T", "m", call_id="c", occurred_at=5, external_id="x", **more).result(10)
    again = report("call_event", "critical", "T", "other", call_id="c", external_id="x").result(10)
    assert (told.id, told.external_id) == (again.id, "x")
    (alert,) = history()
    assert alert["occurredAt"] == 5
    assert {name: alert[name] for name in more} == more


def test_an_alert_may_be_about_no_call() -> None:
    report("anomaly", "low", "T", "m").result(10)
    assert "callId" not in history()[0]


def test_held_back_alerts_are_no_history() -> None:
    assert [report("anomaly", "low", "T", "m", call_id="c").result(10).suppressed for _ in range(2)] == [False, True]
    assert len(history()) == 1


async def test_it_works_in_async_code() -> None:
    stored = await asyncio.wrap_future(report("anomaly", "low", "T", "m", call_id="c"))
    assert [alert["id"] for alert in history()] == [str(stored.id)]
    assert subscriber_count() == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"type": "weather"}, "type"),
        ({"severity": "awful"}, "severity"),
        ({"title": ""}, "title"),
        ({"message": "\x00"}, "message"),
        ({"call_id": "x" * 257}, "callId"),
        ({"data": {"a": float("nan")}}, "data"),
        ({"data": {"a": object()}}, "data"),
        ({"occurred_at": -1}, "occurredAt"),
    ],
)
def test_a_value_that_no_alert_can_have_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        report(**{"type": "anomaly", "severity": "low", "title": "T", "message": "m", **wrong})
    assert history() == []


@pytest.mark.parametrize("summary", ["", "x" * 4001, "\x07"])
def test_a_summary_that_is_none_is_refused(summary: str) -> None:
    with pytest.raises(ValueError, match="message"):
        summarise("c", summary)


def test_no_history_is_shorter_than_one() -> None:
    with pytest.raises(ValueError, match="limit 0"):
        history(limit=0)


def test_the_names_can_be_imported_before_django_is_ready() -> None:
    names = "from alerts import history, report, subscriber_count, summarise"
    subprocess.run([sys.executable, "-c", names], check=True, env={})
