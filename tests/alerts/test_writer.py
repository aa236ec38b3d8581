"""The writer: what is accepted is stored, whoever stops waiting for it and however long the database is away."""

import asyncio
import signal
import sqlite3
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from alerts import dispatch
from alerts.models import Alert, Call, Severity
from alerts.writer import Report
from tests.alerts.audit import audit
from tests.live import an_alert, publisher_token


def a_report(call_id: str = "a-call", **more: Any) -> Report:
    return Report(type="call_event", severity=Severity.LOW, title="t", message="m", call_id=call_id, **more)


@pytest.mark.usefixtures("_writing")
async def test_a_waiter_that_gives_up_takes_nothing_back_and_ends_nothing() -> None:
    reports = [a_report(kind=str(number)) for number in range(20)]
    waiters = [asyncio.ensure_future(asyncio.wrap_future(dispatch.report(report))) for report in reports]
    for waiter in waiters:
        waiter.cancel()
    last = await asyncio.wrap_future(dispatch.report(a_report(kind="last")))
    assert last[0].seq == 21
    assert await Alert.objects.acount() == 21


@pytest.mark.usefixtures("_writing")
@pytest.mark.parametrize(
    ("more", "error"),
    [({"data": {"x": {1}}}, TypeError), ({"actionable": None, "external_id": "an id"}, IntegrityError)],
    ids=["what cannot be encoded", "what the table refuses"],
)
def test_one_report_that_cannot_be_stored_fails_alone(more: dict[str, Any], error: type[Exception]) -> None:
    good, bad, also_good = (dispatch.report(report) for report in (a_report(), a_report(**more), a_report("b")))
    assert good.result(10)[0].seq == 1
    with pytest.raises(error):
        bad.result(10)
    assert also_good.result(10)[0].seq == 1


@pytest.mark.usefixtures("_writing")
def test_the_anchor_of_a_correlation_is_the_first_sent_within_ten_seconds_before_in_whatever_batches() -> None:
    times = [0, 4_000, 9_999, 10_000, 10_001, 14_000, 24_001]
    reports = [a_report(kind=str(at), timestamp=1_000_000 + at) for at in times]
    dispatch.report(*reports[:3]).result(10)
    dispatch.report(*reports[3:]).result(10)
    anchors = dict(Alert.objects.values_list("timestamp", "correlation_id"))
    by_id = {report.id: report.timestamp for report in reports}
    assert [by_id[anchors[1_000_000 + at]] - 1_000_000 for at in times] == [0, 0, 0, 0, 4_000, 4_000, 24_001]


REPORTS = st.builds(
    Report,
    st.sampled_from(["call_event", "anomaly", "call_summary", "disconnection"]),
    st.integers(0, 4),
    st.just("t"),
    st.just("m"),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["caller", "agent"]),
)


@pytest.mark.usefixtures("_writing")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(REPORTS, max_size=8), st.sampled_from([0, 10, 1700, 5000, -9000])), max_size=12))
def test_whatever_is_reported_in_whatever_lists_every_rise_is_sent_and_every_repeat_counted(
    lists: list[tuple[list[Report], int]],
) -> None:
    Alert.objects.all().delete()
    Call.objects.all().delete()
    now_ms, stored = 1_800_000_000_000, []
    for reports, passed_ms in lists:
        now_ms += passed_ms
        told_the_time = [replace(report, id=uuid7(), timestamp=now_ms) for report in reports]
        stored.append(dispatch.report(*told_the_time))
    audit(rows, [one.id for some in stored for one in some.result(10)], cooldown_ms=5000)


def rows(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_alerts_posted_while_the_database_is_locked_are_stored_when_it_is_back(own_server: Any) -> None:
    server = own_server()
    lock = sqlite3.connect(server.folder / "db.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    answers: list[Any] = []
    post = threading.Thread(target=lambda: answers.append(server.post(an_alert("waits"))))
    post.start()
    time.sleep(2)
    lock.execute("ROLLBACK")
    lock.close()
    post.join()
    assert [one["seq"] for one in answers[0]] == [1]


def test_while_the_database_is_away_a_post_is_told_so_and_sigterm_still_ends_the_server(own_server: Any) -> None:
    server = own_server()
    lock = sqlite3.connect(server.folder / "db.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    status, answer = server.call("POST", "/api/v1/alerts/", an_alert("lost"), publisher_token())
    assert status == 503
    assert "externalId" in answer["detail"]
    assert server.stop(signal.SIGTERM, within_s=60) == 0
    lock.close()
    assert "writes are lost" in server.log
