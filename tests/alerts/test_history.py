"""The history by REST on the real server: every filter, pages that miss and repeat nothing, one alert and one call."""

import base64
import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.credentials import mint
from alerts.pages import Place
from tests.live import LiveServer, an_alert, watcher_token

SEVERITIES = ["info", "low", "medium", "high", "critical"]
TYPES = ["call_event", "anomaly", "quality_degraded", "call_summary"]
KINDS = ["overlap", "echo", "mos"]
ANY = "suppressed=any&pageSize=500"


def read(server: LiveServer, path: str, token: str | None = None) -> Any:
    status, answer = server.call("GET", f"/api/v1/{path}", token=token or watcher_token())
    assert status == 200, answer
    return answer


def walk(server: LiveServer, path: str, way: str = "next") -> Iterator[list[dict[str, Any]]]:
    """Page by page, to the end."""
    address = f"/api/v1/{path}"
    while address:
        status, page = server.call("GET", address, token=watcher_token())
        assert status == 200, page
        yield page["results"]
        address = (page[way] or "").partition(f":{server.port}")[2]


def ids(alerts: list[dict[str, Any]]) -> list[str]:
    return [alert["id"] for alert in alerts]


def acknowledger(name: str = "ann", *calls: str) -> str:
    return mint(name, 600, ["subscribe", "acknowledge"], list(calls or ("*",)))


@pytest.fixture(scope="module")
def mixed(server: LiveServer) -> list[dict[str, Any]]:
    """A call's alerts of every sort, newest first: some held back, some acknowledged."""
    call_id = f"mixed-{uuid.uuid4().hex}"
    for type_ in TYPES:
        sorts = [
            {"type": type_, "kind": kind, "severity": severity, "actionable": severity == "critical"}
            for kind, severity in itertools.product(KINDS, SEVERITIES[::2])
        ]
        server.post(*(an_alert(call_id, **sort) for sort in sorts for _ in range(2)))
    everything = read(server, f"alerts/?callId={call_id}&{ANY}")["results"]
    for alert in everything[::7]:
        assert server.call("POST", f"/api/v1/alerts/{alert['id']}/acknowledge/", {}, acknowledger())[0] == 200
    everything = read(server, f"alerts/?callId={call_id}&{ANY}")["results"]
    assert len(everything) == 2 * len(TYPES) * len(KINDS) * 3
    return list(everything)


def some_of(values: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3).map(",".join)


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "type": some_of(TYPES),
        "kind": some_of([*KINDS, "none of them"]),
        "severity": some_of(SEVERITIES),
        "minSeverity": st.sampled_from(SEVERITIES),
        "since": st.integers(0, 71),
        "until": st.integers(0, 71),
        "actionable": st.sampled_from(["true", "false"]),
        "acknowledged": st.sampled_from(["true", "false"]),
        "suppressed": st.sampled_from(["true", "false", "any"]),
    },
)

PASSES: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "type": lambda alert, value: alert["type"] in value.split(","),
    "kind": lambda alert, value: alert["kind"] in value.split(","),
    "severity": lambda alert, value: alert["severity"] in value.split(","),
    "minSeverity": lambda alert, value: SEVERITIES.index(alert["severity"]) >= SEVERITIES.index(value),
    "since": lambda alert, value: alert["timestamp"] >= value,
    "until": lambda alert, value: alert["timestamp"] < value,
    "actionable": lambda alert, value: alert["actionable"] == (value == "true"),
    "acknowledged": lambda alert, value: (alert["acknowledgedAt"] is not None) == (value == "true"),
    "suppressed": lambda alert, value: value == "any" or alert["suppressed"] == (value == "true"),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES)
def test_every_filter_passes_what_it_says_alone_and_with_others(
    server: LiveServer, mixed: list[dict[str, Any]], query: dict[str, Any]
) -> None:
    asked = {name: mixed[value]["timestamp"] if name in ("since", "until") else value for name, value in query.items()}
    wanted = {"suppressed": "false"} | asked
    expected = [alert for alert in mixed if all(PASSES[name](alert, value) for name, value in wanted.items())]
    path = f"alerts/?{urlencode({'callId': mixed[0]['callId'], 'pageSize': 500} | asked)}"
    assert ids(read(server, path)["results"]) == ids(expected)
    of_call = f"calls/{mixed[0]['callId']}/alerts/?{urlencode({'pageSize': 500} | asked)}"
    assert ids(read(server, of_call)["results"]) == ids(expected)


UNREADABLE = [
    "type=weather",
    "type=",
    "kind=" + "k" * 65,
    "kind=a,%00",
    "severity=low,awful",
    "minSeverity=low,high",
    "since=yesterday",
    "since=-1",
    "until=" + "9" * 17,
    "actionable=maybe",
    "acknowledged=",
    "suppressed=all",
    "type=anomaly&type=call_event",
    "callId=" + ",".join("c" * 101),
    "minseverity=low",
]


@pytest.mark.parametrize("query", UNREADABLE)
def test_a_filter_that_cannot_be_read_is_named(server: LiveServer, query: str) -> None:
    status, answer = server.call("GET", f"/api/v1/alerts/?{query}", token=watcher_token())
    assert (status, list(answer)) == (400, [query.partition("=")[0]])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 80))
def test_pages_of_any_size_have_everything_once_forth_and_back(
    server: LiveServer, mixed: list[dict[str, Any]], size: int
) -> None:
    path = f"alerts/?callId={mixed[0]['callId']}&suppressed=any&pageSize={size}"
    forth = list(walk(server, path))
    assert ids([alert for page in forth for alert in page]) == ids(mixed)
    assert {len(page) for page in forth[:-1]} <= {size}
    oldest = Place(False, (mixed[-1]["timestamp"], uuid.UUID(mixed[-1]["id"])))
    beyond, *back = walk(server, f"{path}&cursor={oldest}", "previous")
    assert beyond == []
    assert ids(back[0]) == ids(mixed)[:size]


def test_back_from_a_page_is_the_page_before_it(server: LiveServer, mixed: list[dict[str, Any]]) -> None:
    path = f"/api/v1/alerts/?callId={mixed[0]['callId']}&suppressed=any&pageSize=10"
    addresses = []
    for _ in range(4):
        addresses.append(path)
        page = server.call("GET", path, token=watcher_token())[1]
        path = page["next"].partition(f":{server.port}")[2]
    back = page["previous"].partition(f":{server.port}")[2]
    there = server.call("GET", back, token=watcher_token())[1]
    assert there["results"] == server.call("GET", addresses[2], token=watcher_token())[1]["results"]
    assert there["next"].partition(f":{server.port}")[2] == addresses[3]


def test_what_is_stored_during_a_walk_neither_hides_nor_repeats_what_was_there(server: LiveServer) -> None:
    call_id = f"walk-{uuid.uuid4().hex}"
    posted = server.post(*(an_alert(call_id, kind=str(number)) for number in range(30)))
    seen = []
    for number, page in enumerate(walk(server, f"alerts/?callId={call_id}&pageSize=7")):
        server.post(*(an_alert(call_id, kind=f"new {number} {each}") for each in range(10)))
        seen += ids(page)
    assert seen == ids(posted)[::-1]


RUBBISH = ["", "rubbish", "\u00e9"] + [
    base64.urlsafe_b64encode(told).decode()
    for told in (b"older", b"older x", b"sideways 1", b"older 1 2", b"\xff", b"older " + b"9" * 30)
]


@pytest.mark.parametrize("cursor", RUBBISH)
def test_a_cursor_that_is_none_of_ours_is_not_found(server: LiveServer, cursor: str) -> None:
    for route in ("alerts", "calls"):
        path = f"/api/v1/{route}/?{urlencode({'cursor': cursor})}"
        assert server.call("GET", path, token=watcher_token())[0] == 404


def test_a_cursor_of_another_list_is_not_found(server: LiveServer) -> None:
    for route, place in (("alerts", Place(False, (1,))), ("calls", Place(False, (1, uuid.uuid4())))):
        assert server.call("GET", f"/api/v1/{route}/?cursor={place}", token=watcher_token())[0] == 404


def test_one_alert_is_shown_as_in_the_list(server: LiveServer, mixed: list[dict[str, Any]]) -> None:
    assert read(server, f"alerts/{mixed[0]['id']}/") == mixed[0]


@pytest.mark.parametrize("route", ["", "acknowledge/", "resolve/"])
def test_a_hidden_alert_and_an_unknown_one_are_answered_in_the_same_words(server: LiveServer, route: str) -> None:
    [alert] = server.post(an_alert("blue-call", kind=uuid.uuid4().hex))
    method = "POST" if route else "GET"
    hidden, unknown = (
        server.call(method, f"/api/v1/alerts/{id_}/{route}", None, acknowledger("eve", "another"))
        for id_ in (alert["id"], uuid.uuid4())
    )
    assert hidden == unknown
    assert hidden[0] == 404


def acknowledge(server: LiveServer, alert: dict[str, Any], name: str, note: str | None = None) -> tuple[int, Any]:
    body = None if note is None else {"note": note}
    return server.call("POST", f"/api/v1/alerts/{alert['id']}/acknowledge/", body, acknowledger(name))


def test_who_acknowledges_first_is_kept_with_the_note_and_others_learn_of_it(server: LiveServer) -> None:
    [alert] = server.post(an_alert(f"ack-{uuid.uuid4().hex}"))
    before = read(server, f"alerts/{alert['id']}/")
    status, mine = acknowledge(server, alert, "ann", "calling back")
    assert status == 200
    assert (mine["acknowledgedBy"], mine["note"], mine["version"]) == ("ann", "calling back", before["version"] + 1)
    assert mine == before | {name: mine[name] for name in ("acknowledgedAt", "acknowledgedBy", "note", "version")}
    assert acknowledge(server, alert, "ann", "again") == (200, mine)
    status, told = acknowledge(server, alert, "bob")
    assert status == 409
    assert (told["acknowledgedBy"], told["acknowledgedAt"]) == ("ann", mine["acknowledgedAt"])
    assert "ann" in told["detail"]
    assert read(server, f"alerts/{alert['id']}/") == mine


def test_resolving_ends_an_alert_once_and_acknowledges_it(server: LiveServer) -> None:
    [alert] = server.post(an_alert(f"resolve-{uuid.uuid4().hex}"))
    path = f"/api/v1/alerts/{alert['id']}/resolve/"
    status, mine = server.call("POST", path, None, acknowledger("ann"))
    assert status == 200
    assert mine["endedAt"] >= mine["timestamp"]
    assert mine["acknowledgedBy"] == "ann"
    assert server.call("POST", path, None, acknowledger("bob")) == (200, mine)


def test_acknowledging_needs_the_scope_and_a_note_that_can_be_kept(server: LiveServer) -> None:
    [alert] = server.post(an_alert(f"scope-{uuid.uuid4().hex}"))
    for route in ("acknowledge", "resolve"):
        assert server.call("POST", f"/api/v1/alerts/{alert['id']}/{route}/", {}, watcher_token())[0] == 403
    for note in ("x" * 4001, "a\x00b"):
        status, answer = acknowledge(server, alert, "ann", note)
        assert (status, list(answer)) == (400, ["note"])
    path = f"/api/v1/alerts/{alert['id']}/acknowledge/"
    assert server.call("POST", path, {"note": 7}, acknowledger())[0] == 400
    assert server.call("POST", path, {"nota": "x"}, acknowledger())[1] == {"nota": ["Unknown field."]}
    assert acknowledge(server, alert, "ann", "n" * 4000)[0] == 200


def test_a_call_shows_its_alerts_and_how_it_sounds(server: LiveServer) -> None:
    call_id = f"caf\u00e9, {uuid.uuid4().hex}"  # one that a list of ids could not name
    key = "~" + base64.urlsafe_b64encode(call_id.encode()).decode()
    posted = server.post(an_alert(call_id, kind="a"), an_alert(call_id, kind="b"))
    call = read(server, f"calls/{key}/")
    assert (call["callId"], call["mosScore"], call["alertCount"]) == (call_id, None, 2)
    assert ids(read(server, f"calls/{key}/alerts/?pageSize=1")["results"]) == ids(posted)[:0:-1]
    assert ids(read(server, f"calls/{key}/alerts/")["results"]) == ids(posted)[::-1]
    status, answer = server.call("GET", f"/api/v1/calls/{key}/alerts/?callId=x", token=watcher_token())
    assert (status, list(answer)) == (400, ["callId"])
