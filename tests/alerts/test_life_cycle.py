"""What becomes of alerts: acknowledged, ended, resolved; stored once, numbered, and told to whoever has them."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from alerts import dispatch, ledger
from alerts.models import Alert, Call, Severity
from alerts.publish import Published
from alerts.serializers import whole, wire
from alerts.writer import Acknowledgement, CallOver, End, Order, Report, Reports, Resolution
from tests.live import MEDIA_TOKEN, ROOT, LiveServer, bearer

SAMPLE = ROOT / "samples" / "call.wav"
NOON = 1_800_000_000_000


def a_report(call_id: str = "a-call", type_: str = "call_event", **more: Any) -> Report:
    event = {"severity": Severity.LOW, "data": {"event": {"type": "overlap", "duration": 200}}}
    return Report(type_, title="A title", message="a message", call_id=call_id, **(event | more))


def carry_out(*orders: Order[Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """One transaction: the outcomes, and the frames for subscribers."""
    with transaction.atomic():
        outcomes, news = ledger.store(orders)
    return outcomes, [json.loads(one.body) for one in news]


@pytest.mark.usefixtures("_writing")
def test_of_fifty_who_acknowledge_at_once_one_is_first_and_all_learn_who() -> None:
    [alert] = dispatch.report(a_report()).result(10)
    together = threading.Barrier(50)

    def acknowledge(number: int) -> Any:
        together.wait(30)
        return dispatch.acknowledge(alert.id, f"user-{number}", f"note {number}").result(30)

    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(acknowledge, range(50)))
    [(number, first)] = [(number, answer) for number, answer in enumerate(answers) if answer.first]
    assert (first.by, first.note) == (f"user-{number}", f"note {number}")
    assert {(answer.alert_id, answer.at, answer.by, answer.note) for answer in answers} == {
        (alert.id, first.at, first.by, first.note)
    }
    row = Alert.objects.get()
    assert (row.acknowledged_at, row.acknowledged_by, row.note) == (first.at, first.by, first.note)
    assert (row.version, row.update_no) == (2, 1)


@pytest.mark.django_db
def test_everybody_is_told_who_acknowledged_and_what_they_noted() -> None:
    report = a_report(source="engine", external_id="7")
    carry_out(Reports((report,)))
    [answer], [frame] = carry_out(Acknowledgement(report.id, "ann", "I call back"))
    alert = frame["alert"]
    assert frame == {"type": "alert.updated", "alert": alert}
    assert (alert["id"], alert["version"], alert["seq"]) == (str(report.id), 2, 1)
    assert (alert["acknowledgedBy"], alert["note"], alert["acknowledgedAt"]) == ("ann", "I call back", answer.at)
    assert (alert["endedAt"], alert["externalId"]) == (None, "7")


@pytest.mark.django_db
def test_an_alert_that_there_is_not_can_be_neither_acknowledged_nor_resolved() -> None:
    nobody = uuid4()
    assert carry_out(Acknowledgement(nobody, "ann"), Resolution(nobody, "ann"), End((nobody,), 1, 1)) == (
        [None, None, []],
        [],
    )


@pytest.mark.django_db
def test_the_end_of_a_finding_brings_its_final_duration_and_leaves_its_message() -> None:
    report = a_report()
    carry_out(Reports((report,)))
    _, [frame] = carry_out(End((report.id, report.id), NOON, 4321))
    assert frame["alert"]["endedAt"] == NOON
    assert frame["alert"]["data"]["event"] == {"type": "overlap", "duration": 4321}
    assert frame["alert"]["message"] == "a message"


@pytest.mark.django_db
@pytest.mark.parametrize("together", [True, False], ids=["in one transaction", "in two"])
def test_what_is_known_at_its_end_only_is_sent_and_then_updated_however_it_was_batched(together: bool) -> None:
    report = a_report()
    orders = [Reports((report,)), End((report.id,), NOON, 4321)]
    batches = [orders] if together else [[order] for order in orders]
    sent, updated = [frame for batch in batches for frame in carry_out(*batch)[1]]
    assert (sent["version"], sent["data"]["event"]["duration"]) == (1, 200)
    assert (updated["alert"]["version"], updated["alert"]["data"]["event"]["duration"]) == (2, 4321)
    assert report.data["event"]["duration"] == 200  # as reported, should the transaction have to be tried again
    row = Alert.objects.get()
    assert (row.version, row.update_no, row.ended_at) == (2, 1, NOON)


@pytest.mark.django_db
def test_changes_of_what_was_held_back_are_stored_but_nobody_is_told() -> None:
    sent, held_back = a_report(), a_report()
    carry_out(Reports((sent, held_back)))
    [acknowledged, _], frames = carry_out(Acknowledgement(held_back.id, "ann"), End((held_back.id,), NOON, 1))
    assert acknowledged.first
    assert frames == []
    row = Alert.objects.get(id=held_back.id)
    assert (row.suppressed, row.version, row.update_no, row.ended_at) == (True, 3, None, NOON)
    assert row.changed_at is not None
    assert Call.objects.get().last_update == 0


@pytest.mark.django_db
def test_a_finding_that_was_held_back_when_it_opened_is_sent_when_its_severity_grows() -> None:
    before, opened = a_report(), a_report()
    raised = a_report(severity=Severity.HIGH, repeat_of=opened.id)
    _, frames = carry_out(Reports((before, opened)), Reports((raised,)), End((opened.id, raised.id), NOON, 3000))
    assert [frame.get("id") for frame in frames] == [str(before.id), str(raised.id), None]
    assert (frames[1]["repeatOf"], frames[1]["suppressedCount"], frames[1]["seq"]) == (str(opened.id), 1, 2)
    assert (frames[2]["alert"]["id"], frames[2]["alert"]["version"]) == (str(raised.id), 2)
    assert set(Alert.objects.values_list("id", "ended_at")) == {
        (before.id, None),
        (opened.id, NOON),
        (raised.id, NOON),
    }


@pytest.mark.django_db
def test_who_resolves_an_alert_ends_and_acknowledges_it_once() -> None:
    report = a_report()
    carry_out(Reports((report,)))
    [first, again], [frame] = carry_out(Resolution(report.id, "ann", NOON), Resolution(report.id, "bob", NOON + 1))
    assert (first.at, first.first) == (NOON, True)
    assert (again.at, again.first) == (NOON, False)
    assert (frame["alert"]["endedAt"], frame["alert"]["acknowledgedBy"]) == (NOON, "ann")


@pytest.mark.django_db
def test_resolving_leaves_who_acknowledged_before_and_an_end_that_there_was() -> None:
    acknowledged, ended = a_report(kind="a"), a_report(kind="b")
    carry_out(Reports((acknowledged, ended)))
    carry_out(Acknowledgement(acknowledged.id, "ann", "mine"), End((ended.id,), NOON, 1))
    carry_out(*(Resolution(report.id, "bob", NOON + 1) for report in (acknowledged, ended)))
    rows = [Alert.objects.get(id=report.id) for report in (acknowledged, ended)]
    assert [(row.acknowledged_by, row.note, row.ended_at) for row in rows] == [
        ("ann", "mine", NOON + 1),
        ("bob", "", NOON),
    ]


@pytest.mark.django_db
def test_a_finding_that_ends_after_somebody_resolved_it_changes_nothing_any_more() -> None:
    report = a_report()
    carry_out(Reports((report,)), Resolution(report.id, "ann", NOON))
    assert carry_out(End((report.id,), NOON + 1, 9)) == ([[]], [])
    assert Alert.objects.get().ended_at == NOON


@pytest.mark.django_db
@pytest.mark.parametrize("together", [True, False], ids=["in one transaction", "in two"])
def test_with_a_call_ends_what_was_raised_here_about_it_and_lasts(together: bool) -> None:
    Call.objects.create(call_id="a-call", started_at=0, active=True)
    lasting = [a_report(kind="x"), a_report(kind="x"), a_report(type_="anomaly"), a_report(type_="quality_degraded")]
    staying = [
        a_report(type_="call_summary"),
        a_report(type_="disconnection"),
        a_report(kind="posted", source="engine"),
        a_report("another-call"),
    ]
    ended = a_report(kind="ended before")
    orders = [Reports((*lasting, *staying, ended)), End((ended.id,), NOON - 1, 1), CallOver("a-call", at=NOON)]
    batches = [orders] if together else [[order] for order in orders]
    outcomes = [outcome for batch in batches for outcome in carry_out(*batch)[0]]
    assert outcomes[-1] is True
    ends = dict(Alert.objects.values_list("id", "ended_at"))
    assert {ends[report.id] for report in lasting} == {NOON}
    assert {ends[report.id] for report in staying} == {None}
    assert ends[ended.id] == NOON - 1
    assert Call.objects.values_list("active", "ended_at").get(call_id="a-call") == (False, NOON)
    assert carry_out(CallOver("a-call"), CallOver("no-such-call")) == ([False, False], [])


@pytest.mark.django_db
def test_a_clock_that_is_set_back_hides_no_alert_and_no_change_from_the_hubs_poll() -> None:
    Call.objects.create(call_id="a-call", started_at=0, changed_at=2**50)  # noticed at a time that is yet to come
    report = a_report()
    for order in (Reports((report,)), End((report.id,), NOON, 1)):
        carry_out(order)
        assert Call.objects.get().changed_at == 2**50


@pytest.mark.django_db
def test_a_call_that_another_server_has_taken_over_is_not_closed_by_the_one_that_lost_it() -> None:
    Call.objects.create(call_id="a-call", started_at=0, active=True, heard_by="here:2")
    report = a_report()
    assert carry_out(Reports((report,)), CallOver("a-call", heard_by="here:1"))[0][1] is False
    assert Call.objects.get().active
    assert Alert.objects.get().ended_at is None


@pytest.mark.usefixtures("_writing")
def test_a_server_that_starts_closes_the_calls_of_its_processes_that_have_gone_and_ends_their_alerts() -> None:
    def has_gone(process: str) -> bool:
        return process != "here:1/7"

    owners = {"left": "here:1/5", "also-left": "here:1/6", "of-a-living-one": "here:1/7", "elsewhere": "here:10/5"}
    for call_id, heard_by in owners.items():
        dispatch.open_call(call_id, "pcm", ["caller"], heard_by)
        dispatch.report(a_report(call_id)).result(10)
    assert dispatch.close_calls_left_open("here:1", has_gone) == 2
    going_on = Call.objects.filter(active=True).order_by("id").values_list("call_id", flat=True)
    assert list(going_on) == ["of-a-living-one", "elsewhere"]
    told_of = Alert.objects.filter(ended_at__isnull=True).order_by("id").values_list("call__call_id", flat=True)
    assert list(told_of) == ["of-a-living-one", "elsewhere"]
    assert dispatch.close_calls_left_open("here:1", has_gone) == 0


@pytest.mark.usefixtures("_writing")
def test_an_engine_elsewhere_neither_takes_a_call_that_is_heard_nor_ends_it() -> None:
    dispatch.open_call("a-call", "pcm", ["caller"], "here:1/5")
    dispatch.open_call("a-call", "engine", [], "here:1/6", taking_over=False)
    assert dispatch.close_call("a-call", "here:1/6").result(10) is False
    assert Call.objects.values_list("active", "protocol").get() == (True, "pcm")
    assert dispatch.close_call("a-call", "here:1/5").result(10) is True
    dispatch.open_call("a-call", "engine", [], "here:1/6", taking_over=False)
    assert Call.objects.values_list("active", "protocol").get() == (True, "engine")


def test_alerts_that_were_going_on_when_the_server_was_killed_end_when_it_starts_again(own_server: Any) -> None:
    server: LiveServer = own_server()
    of_the_pause = "SELECT ended_at IS NULL, version, update_no FROM alerts_alert WHERE kind = 'long_pause'"
    path = "/media/pcm/?call_id=killed&encoding=mulaw&sample_rate=8000&channels=2"
    with connect(server.ws(path), additional_headers=bearer(MEDIA_TOKEN)) as socket:
        socket.send(SAMPLE.read_bytes()[-60_960 * 16 :][: 19 * 16_000])  # into its long pause
        for _ in range(600):
            if server.rows(of_the_pause):
                break
            time.sleep(0.1)
        server.restart(signal.SIGKILL)
    [(open_still, version, update_no)] = server.rows(of_the_pause)
    assert (open_still, version) == (False, 2)
    assert update_no > 0
    assert server.rows("SELECT active FROM alerts_call WHERE call_id = 'killed'") == [(0,)]
    assert server.rows("SELECT kind FROM alerts_alert WHERE type = 'call_event' AND ended_at IS NULL") == []


class View:
    """What a client knows that gets all news: alerts by id, each as it was last told."""

    def __init__(self) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        self._seqs: dict[str, int] = {}
        self._update_nos: dict[str, int] = {}

    def take(self, news: list[Published]) -> None:
        for one in news:
            frame = json.loads(one.body)
            if one.update_no:
                self._update_nos[one.call_id] = self._update_nos.get(one.call_id, 0) + 1
                assert one.update_no == self._update_nos[one.call_id]
                assert frame["alert"]["version"] == self.alerts[frame["alert"]["id"]]["version"] + 1
                self.alerts[frame["alert"]["id"]] = frame["alert"]
            else:
                self._seqs[one.call_id] = self._seqs.get(one.call_id, 0) + 1
                assert (one.seq, frame["version"]) == (self._seqs[one.call_id], 1)
                self.alerts[frame["id"]] = frame


CALLS = ["a", "b", ""]
IDS = [UUID(int=number) for number in range(12)]
ORDERS = st.one_of(
    st.lists(
        st.builds(
            a_report,
            st.sampled_from(CALLS),
            st.sampled_from(["call_event", "anomaly", "call_summary"]),
            kind=st.sampled_from(["x", "y"]),
            id=st.sampled_from(IDS),
            timestamp=st.integers(NOON, NOON + 20_000),
            source=st.sampled_from(["", "engine"]),
        ),
        max_size=4,
    ).map(lambda reports: Reports(tuple(reports))),
    st.builds(
        End, st.lists(st.sampled_from(IDS), max_size=3).map(tuple), st.integers(NOON, NOON + 9), st.integers(0, 9)
    ),
    st.builds(Acknowledgement, st.sampled_from(IDS), st.sampled_from(["ann", "bob"]), st.text("ab", max_size=2)),
    st.builds(Resolution, st.sampled_from(IDS), st.sampled_from(["ann", "bob"])),
    st.builds(CallOver, st.sampled_from(CALLS)),
)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ORDERS, max_size=6), max_size=8))
def test_whatever_happens_in_whatever_batches_what_was_told_is_what_the_table_says(
    batches: list[list[Order[Any]]],
) -> None:
    Alert.objects.all().delete()
    Call.objects.all().delete()
    view = View()
    for batch in batches:
        with transaction.atomic():
            outcomes, news = ledger.store(batch)
        assert len(outcomes) == len(batch)
        view.take(news)
    sent = Alert.objects.filter(suppressed=False).select_related("call")
    shapes = {str(alert.id): (wire, whole)[alert.version > 1](alert, alert.call.call_id) for alert in sent}
    assert json.loads(json.dumps(shapes)) == view.alerts
    for call in Call.objects.all():
        told = [alert["seq"] for alert in view.alerts.values() if alert.get("callId", "") == call.call_id]
        assert call.last_seq == len(told)
