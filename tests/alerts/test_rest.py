"""REST on the real server: posting alerts, reading them back, and who may."""

import concurrent.futures
import uuid
from typing import Any

import pytest

from alerts.credentials import mint
from tests.live import PASSWORD, LiveServer, an_alert, publisher_token, watcher_token


@pytest.fixture
def call_id() -> str:
    return f"rest-{uuid.uuid4().hex}"


def post(server: LiveServer, body: Any, token: str | None = None) -> tuple[int, Any]:
    return server.call("POST", "/api/v1/alerts/", body, token or publisher_token())


def test_one_alert_is_stored_and_its_place_is_told(server: LiveServer, call_id: str) -> None:
    status, answer = post(server, an_alert(call_id, externalId="abc"))
    assert status == 201
    [result] = answer["results"]
    assert uuid.UUID(result.pop("id"))
    assert result == {"seq": 1, "suppressed": False, "externalId": "abc"}


def test_what_was_posted_is_read_back_newest_first_in_pages(server: LiveServer, call_id: str) -> None:
    posted = server.post(*(an_alert(call_id, kind=str(number)) for number in range(5)))
    path, seen = f"/api/v1/alerts/?callId={call_id}&pageSize=2", []
    while path:
        status, page = server.call("GET", path, token=watcher_token())
        assert status == 200
        seen += [alert["id"] for alert in page["results"]]
        path = (page["next"] or "").partition(f":{server.port}")[2]
    assert seen == [alert["id"] for alert in reversed(posted)]


def test_a_repeat_within_the_cooldown_is_stored_but_not_sent(server: LiveServer, call_id: str) -> None:
    first, repeat, other_kind, worse = server.post(
        an_alert(call_id, kind="a"),
        an_alert(call_id, kind="a"),
        an_alert(call_id, kind="b"),
        an_alert(call_id, kind="a", severity="critical"),
    )
    assert [one["seq"] for one in (first, repeat, other_kind, worse)] == [1, None, 2, 3]
    rows = server.rows(
        "SELECT suppressed, suppressed_count, seq FROM alerts_alert WHERE external_id IS NULL AND call_id"
        " = (SELECT id FROM alerts_call WHERE call_id = ?) ORDER BY id",
        call_id,
    )
    assert rows == [(0, 0, 1), (1, 0, None), (0, 0, 2), (0, 1, 3)]


def test_an_external_id_posted_again_answers_the_first(server: LiveServer, call_id: str) -> None:
    alert = an_alert(call_id, externalId=f"x-{call_id}")
    assert post(server, alert) == post(server, alert | {"message": "said otherwise"})
    same_batch = post(server, [alert, alert, an_alert(call_id, kind="new", externalId=f"y-{call_id}")])[1]["results"]
    assert same_batch[0] == same_batch[1]
    assert same_batch[2]["seq"] == 2


def test_an_external_id_belongs_to_who_posted_it(server: LiveServer, call_id: str) -> None:
    alert = an_alert(call_id, externalId="mine")
    posters = (mint(f"engine-{call_id}-{number}", 60, ["publish"], [call_id]) for number in range(2))
    first, second = (post(server, alert, poster)[1]["results"][0] for poster in posters)
    assert first["id"] != second["id"]


def test_seq_has_no_holes_when_many_post_at_once(server: LiveServer, call_id: str) -> None:
    def one(number: int) -> list[int]:
        return [result["seq"] for result in server.post(*(an_alert(call_id, kind=f"{number}.{k}") for k in range(5)))]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        batches = list(pool.map(one, range(40)))
    assert sorted(seq for batch in batches for seq in batch) == list(range(1, 201))


def test_alerts_of_a_call_within_ten_seconds_are_correlated(server: LiveServer, call_id: str) -> None:
    first, *_ = server.post(an_alert(call_id, kind="a"), an_alert(call_id, kind="b"))
    server.post(an_alert(call_id, kind="c"))
    alerts = server.call("GET", f"/api/v1/alerts/?callId={call_id}", token=watcher_token())[1]["results"]
    assert [alert["correlationId"] for alert in alerts] == [first["id"]] * 3


BAD = {
    "type": ("weather", "weather"),
    "severity": ("awful", "awful"),
    "title": ("x" * 201, "200"),
    "message": (7, "int"),
    "callId": ("a\x00b", "Control"),
    "data": ([], "dictionary"),
    "actionable": ("maybe", "boolean"),
    "occurredAt": ("soon", "integer"),
    "colour": ("red", "Unknown field"),
}


@pytest.mark.parametrize("item", [None, "text", 7, []])
def test_an_item_that_is_no_object_is_named(server: LiveServer, item: Any) -> None:
    status, answer = post(server, [an_alert(), item])
    assert status == 400
    assert list(answer) == ["1"]
    assert list(answer["1"]) == ["non_field_errors"]


@pytest.mark.parametrize("field", BAD)
def test_one_bad_item_stores_nothing_and_is_named(server: LiveServer, call_id: str, field: str) -> None:
    value, told = BAD[field]
    good, bad = an_alert(call_id), an_alert(call_id) | {field: value}
    status, answer = post(server, [good, good, bad])
    assert status == 400
    assert list(answer) == ["2"]
    assert told in str(answer["2"][field])
    assert server.rows("SELECT id FROM alerts_call WHERE call_id = ?", call_id) == []


def test_data_of_any_text_is_kept_as_it_was_posted(server: LiveServer, call_id: str) -> None:
    data = {"z": "\u2028\U0001f4de", "a": [1.0, 1, 1e22, None, True]}
    server.post(an_alert(call_id, data=data))
    alerts = server.call("GET", f"/api/v1/alerts/?callId={call_id}", token=watcher_token())[1]["results"]
    assert alerts[0]["data"] == data
    assert list(alerts[0]["data"]) == ["z", "a"]


@pytest.mark.parametrize("missing", ["type", "severity", "title", "message"])
def test_what_is_missing_is_named(server: LiveServer, missing: str) -> None:
    alert = an_alert()
    del alert[missing]
    assert post(server, alert) == (400, {missing: ["This field is required."]})


def test_json_that_is_not_and_too_long_a_list_are_refused(server: LiveServer) -> None:
    assert post(server, b"{not json")[0] == 400
    assert post(server, [])[0] == 400
    status, answer = post(server, [an_alert()] * 1001)
    assert status == 400
    assert "1001" in str(answer)


def test_posting_needs_the_scope_and_the_call(server: LiveServer, call_id: str) -> None:
    alert = an_alert(call_id)
    assert post(server, alert, mint("a", 60, ["subscribe"], ["*"]))[0] == 403
    assert post(server, alert, mint("a", 60, ["publish"], ["another"]))[0] == 404
    assert post(server, alert, mint("a", 60, ["publish"], [call_id]))[0] == 201
    assert post(server, alert, "rubbish")[0] == 401
    assert server.call("POST", "/api/v1/alerts/", alert)[0] == 401


def test_the_scope_alone_lets_nobody_post_about_calls_that_they_only_see(server: LiveServer) -> None:
    for name in ("mate", "staff"):  # who see it by the database, and may add no alerts
        assert post(server, an_alert("red-call"), mint(name, 60, ["subscribe", "publish"]))[0] == 403


def test_a_token_from_the_password_lets_in_and_a_wrong_password_gets_none(server: LiveServer, call_id: str) -> None:
    status, answer = server.call("POST", "/api/v1/token/", {"username": "admin", "password": PASSWORD})
    assert status == 200
    assert post(server, an_alert(call_id), answer["access"])[0] == 201
    assert server.call("GET", "/api/v1/alerts/", token=answer["refresh"])[0] == 401
    status, refreshed = server.call("POST", "/api/v1/token/refresh/", {"refresh": answer["refresh"]})
    assert status == 200
    assert server.call("GET", "/api/v1/alerts/", token=refreshed["access"])[0] == 200
    assert server.call("POST", "/api/v1/token/", {"username": "admin", "password": "wrong"})[0] == 401
    assert server.call("POST", "/api/v1/token/", {"username": "gone", "password": PASSWORD})[0] == 401


def test_everybody_reads_the_alerts_and_calls_they_may_see_and_no_others(server: LiveServer, call_id: str) -> None:
    server.post(an_alert("red-call", kind=call_id), an_alert(call_id), an_alert(None, kind=call_id))

    def seen(name: str, path: str) -> set[str | None]:
        results = server.call("GET", path, token=_database_token(name))[1]["results"]
        return {one.get("callId") for one in results}

    assert {"red-call", call_id, None} <= seen("admin", "/api/v1/alerts/?pageSize=500")
    assert seen("mate", "/api/v1/alerts/?pageSize=500") == {"red-call"}
    assert seen("outsider", "/api/v1/alerts/") == set()
    assert {"red-call", call_id} <= seen("admin", "/api/v1/calls/?pageSize=500")
    assert seen("mate", "/api/v1/calls/") == {"red-call"}
    assert seen("outsider", "/api/v1/calls/") == set()


def _database_token(name: str) -> str:
    return mint(name, 60, ["subscribe"])


UNANSWERABLE = [
    "colour=red",
    "pageSize=0",
    "pageSize=501",
    "pageSize=many",
    "pageSize=" + "9" * 5_000,
    "cursor=rubbish",
]


@pytest.mark.parametrize("query", UNANSWERABLE)
def test_a_query_that_cannot_be_answered_is_refused(server: LiveServer, query: str) -> None:
    status, answer = server.call("GET", f"/api/v1/alerts/?{query}", token=watcher_token())
    assert status in (400, 404), answer
    assert query.partition("=")[0] in str(answer) or "cursor" in str(answer)


BODIES = {
    "half a character": b'{"data": {"x": "\\ud800"}}',
    "half a character as a name": b'{"\\ud800": 1}',
    "a bottomless list": b"[" * 100_000,
    "not a number": b'{"occurredAt": NaN}',
    "nothing": b"",
    "bytes": b"\xff\xfe",
    "a number of many digits": b'{"occurredAt": ' + b"9" * 5_000 + b"}",
    "a number": b"7",
    "a list of numbers": b"[7]",
    "null": b"null",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_alert_is_a_bad_request(server: LiveServer, body: bytes) -> None:
    status, answer = post(server, body)
    assert status == 400
    assert isinstance(answer, dict), answer


def test_data_may_have_64_kib_and_no_more_and_nothing_that_cannot_be_stored(server: LiveServer, call_id: str) -> None:
    most = {"x": "y" * (64 * 1024 - len('{"x":""}'))}
    assert post(server, an_alert(call_id, data=most))[0] == 201
    status, answer = post(server, an_alert(call_id, data={"x": most["x"] + "y"}))
    assert (status, list(answer)) == (400, ["data"])
    assert post(server, an_alert(call_id, data={"x": "a\x00b"}))[0] == 400
    assert post(server, an_alert(call_id, data={"x": "a\\u0000b"}, kind="k"))[0] == 201


def test_a_thousand_long_alerts_are_one_list(server: LiveServer, call_id: str) -> None:
    status, answer = post(server, [an_alert(call_id, kind=str(number), message="m" * 3_900) for number in range(1000)])
    assert status == 201, answer
    assert [one["seq"] for one in answer["results"]] == list(range(1, 1001))


def test_a_body_beyond_all_bounds_is_refused_as_such(server: LiveServer) -> None:
    status, answer = post(server, b" " * (16 * 1024 * 1024 + 1))
    assert status == 413
    assert "16777216" in answer["detail"]


def test_a_cursor_that_names_nothing_is_not_found(server: LiveServer) -> None:
    for route in ("alerts", "calls"):
        assert server.call("GET", f"/api/v1/{route}/?cursor=cD1hYmM%3D", token=watcher_token())[0] == 404


@pytest.mark.parametrize("call_id", ["%00", "a%0Ab", "x" * 257, ""], ids=["NUL", "a line", "too long", "empty"])
def test_asking_for_a_call_that_can_be_none_finds_nothing(server: LiveServer, call_id: str) -> None:
    status, page = server.call("GET", f"/api/v1/alerts/?callId={call_id}", token=watcher_token("a-call"))
    assert (status, page["results"]) == (200, [])


def test_a_token_that_may_only_publish_reads_nothing(server: LiveServer) -> None:
    for route in ("alerts", "calls"):
        assert server.call("GET", f"/api/v1/{route}/", token=publisher_token())[0] == 403


def test_what_was_stored_survives_a_kill(own_server: Any) -> None:
    server = own_server()
    posted = server.post(*(an_alert("kept", kind=str(number)) for number in range(50)))
    server.process.kill()
    server.restart()
    assert [one["seq"] for one in server.post(an_alert("kept"))] == [51]
    page = server.call("GET", "/api/v1/alerts/?callId=kept&pageSize=500", token=watcher_token())[1]
    assert [alert["id"] for alert in page["results"]][1:] == [alert["id"] for alert in reversed(posted)]
