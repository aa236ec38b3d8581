"""POST `findings/` and `summary/` on the real server: what engines elsewhere found becomes alerts, or is refused."""

import uuid
from typing import Any

import pytest

from alerts.credentials import mint
from tests.live import LiveServer, publisher_token, watcher_token

OVERLAP = {"type": "overlap", "channel": "all", "timestamp": 900, "duration": 1000, "severity": "medium"}
ECHO = {
    "type": "echo",
    "channel": "caller",
    "timestamp": 0,
    "duration": 9000,
    "severity": "high",
    "confidence": 0.9,
    "description": "The agent hears themselves.",
    "recommendation": "Use a headset.",
}
RESULT = {
    "timestamp": 10_000,
    "callQuality": {"mosScore": 2.44, "rFactor": 47.1, "degraded": True, "basis": "network"},
    "sentiment": {"sentiment": "negative", "confidence": 0.85, "basis": "text"},
}


@pytest.fixture
def call_id() -> str:
    return f"found-{uuid.uuid4().hex}"


def post(server: LiveServer, call_id: str, body: Any, token: str | None = None, to: str = "findings") -> Any:
    return server.call("POST", f"/api/v1/calls/{call_id}/{to}/", body, token or publisher_token())


def alerts_of(server: LiveServer, call_id: str) -> list[dict[str, Any]]:
    page = server.call("GET", f"/api/v1/calls/{call_id}/alerts/", token=watcher_token())[1]
    alerts: list[dict[str, Any]] = page["results"]
    return alerts[::-1]


def test_events_anomalies_and_a_result_become_alerts_in_this_order(server: LiveServer, call_id: str) -> None:
    body = {"events": [{"record": "event", **OVERLAP}], "anomalies": [ECHO], "result": RESULT}
    status, answer = post(server, call_id, body)
    assert status == 201
    assert [one["seq"] for one in answer["results"]] == [1, 2, 3, 4]
    alerts = alerts_of(server, call_id)
    assert [alert["id"] for alert in alerts] == [one["id"] for one in answer["results"]]
    assert [(alert["type"], alert["kind"], alert["message"]) for alert in alerts] == [
        ("call_event", "overlap", "Speech overlap detected (1000ms)"),
        ("anomaly", "echo", "The agent hears themselves."),
        ("quality_degraded", "mos", "MOS score: 2.4 (threshold: 3.0)"),
        ("sentiment_shift", "negative", "Confidence: 85%"),
    ]
    assert alerts[0]["data"] == {"event": OVERLAP, "timestamp": 900}
    assert alerts[1]["channel"] == "caller"
    assert alerts[2]["data"] == RESULT["callQuality"]


def test_the_call_says_what_it_sounds_like(server: LiveServer, call_id: str) -> None:
    good = RESULT | {
        "callQuality": {"mosScore": 4.1},
        "sentiment": {"sentiment": "neutral", "confidence": 0.2},
    }
    assert post(server, call_id, {"result": good}) == (201, {"results": []})
    path = f"/api/v1/calls/{call_id}/"
    assert server.call("GET", path, token=watcher_token())[1]["mosScore"] == 4.1
    post(server, call_id, {"result": RESULT})
    assert server.call("GET", path, token=watcher_token())[1]["mosScore"] == 2.44


BAD: list[tuple[Any, list[str], str]] = [
    ({"events": [OVERLAP, OVERLAP | {"duration": -1}]}, ["events", "1", "duration"], "greater than or equal to 0"),
    ({"events": [OVERLAP | {"duration": 820.5}]}, ["events", "0", "duration"], "820.5"),
    ({"events": [{k: v for k, v in OVERLAP.items() if k != "duration"}]}, ["events", "0", "duration"], "required"),
    ({"events": [OVERLAP | {"severity": "awful"}]}, ["events", "0", "severity"], "awful"),
    ({"events": [OVERLAP | {"timestamp": "900"}]}, ["events", "0", "timestamp"], "'900'"),
    ({"events": [OVERLAP | {"metadata": {"a": "\x00"}}]}, ["events", "0", "non_field_errors"], "Control"),
    ({"events": [OVERLAP | {"metadata": {"a": "x" * 70_000}}]}, ["events", "0", "non_field_errors"], "65536"),
    ({"events": ["overlap"]}, ["events", "0", "non_field_errors"], "str"),
    ({"events": OVERLAP}, ["events"], "dict"),
    ({"anomalies": [ECHO | {"confidence": 1.5}]}, ["anomalies", "0", "confidence"], "less than or equal to 1"),
    ({"anomalies": [ECHO | {"description": ""}]}, ["anomalies", "0", "description"], "blank"),
    ({"result": {"callQuality": {"mosScore": 2.0}}}, ["result", "sentiment"], "required"),
    ({"result": RESULT | {"callQuality": {}}}, ["result", "callQuality", "mosScore"], "required"),
    ({"result": RESULT | {"callQuality": {"mosScore": True}}}, ["result", "callQuality", "mosScore"], "True"),
    ({"result": RESULT | {"callQuality": {"mosScore": 9}}}, ["result", "callQuality", "mosScore"], "equal to 5"),
    ({"result": None}, ["result"], "null"),
    ({"event": [OVERLAP]}, ["event"], "Unknown field"),
    ({"events": [OVERLAP] * 1000}, ["non_field_errors"], "1001"),
    ({}, ["non_field_errors"], "Give events"),
    ([], ["non_field_errors"], "list"),
]


@pytest.mark.parametrize(("bad", "path", "named"), BAD)
def test_one_bad_record_stores_nothing_and_is_named(
    server: LiveServer, call_id: str, bad: Any, path: list[str], named: str
) -> None:
    body = {"anomalies": [ECHO], **bad} if bad and isinstance(bad, dict) and "anomalies" not in bad else bad
    status, answer = post(server, call_id, body)
    assert status == 400
    for name in path:
        assert list(answer) == [name]
        answer = answer[name]
    assert named in str(answer)
    assert server.rows("SELECT id FROM alerts_call WHERE call_id = ?", call_id) == []


def test_json_has_no_nan(server: LiveServer, call_id: str) -> None:
    assert post(server, call_id, b'{"result": {"callQuality": {"mosScore": NaN}}}')[0] == 400


def test_a_summary_is_never_held_back(server: LiveServer, call_id: str) -> None:
    for number in (1, 2):
        status, answer = post(server, call_id, {"summary": f"Version {number}."}, to="summary")
        assert status == 201
        assert answer["results"][0]["seq"] == number
    assert [(alert["title"], alert["message"]) for alert in alerts_of(server, call_id)] == [
        ("Call Analysis Summary", "Version 1."),
        ("Call Analysis Summary", "Version 2."),
    ]


@pytest.mark.parametrize("body", [{}, {"summary": ""}, {"summary": 7}, {"summary": "x" * 4001}, {"summary": "\x07"}])
def test_a_summary_that_is_none_is_refused(server: LiveServer, call_id: str, body: Any) -> None:
    status, answer = post(server, call_id, body, to="summary")
    assert status == 400
    assert answer
    assert server.rows("SELECT id FROM alerts_call WHERE call_id = ?", call_id) == []


@pytest.mark.parametrize(("to", "body"), [("findings", {"events": [OVERLAP]}), ("summary", {"summary": "Done."})])
def test_it_needs_the_scope_and_the_call_and_hidden_is_unknown(
    server: LiveServer, call_id: str, to: str, body: Any
) -> None:
    def answered(scope: str, *calls: str, about: str = call_id) -> Any:
        return post(server, about, body, mint("engine", 60, [scope], list(calls)), to=to)

    assert answered("publish", call_id)[0] == 201
    assert answered("subscribe", call_id)[0] == 403
    assert answered("publish", "another")[0] == 404
    assert answered("publish", "another", about="red-call") == answered("publish", "another", about="no-such-call")
    assert server.call("POST", f"/api/v1/calls/{call_id}/{to}/", body)[0] == 401


@pytest.mark.parametrize(("to", "body"), [("findings", {"events": [OVERLAP]}), ("summary", {"summary": "Done."})])
def test_a_repeat_under_one_idempotency_key_makes_nothing(server: LiveServer, call_id: str, to: str, body: Any) -> None:
    path, answers = f"/api/v1/calls/{call_id}/{to}/", []
    for _ in range(2):
        answers.append(server.exchange("POST", path, body, publisher_token(), Idempotency_Key=call_id))
    assert answers[0][::2] == answers[1][::2]
    assert answers[1][1]["Idempotency-Replayed"] == "true"
    assert len(alerts_of(server, call_id)) == 1


def test_a_call_id_of_other_characters_is_named_in_base64url(server: LiveServer) -> None:
    assert post(server, "~Y2FsbCAx", {"events": [OVERLAP]})[0] == 201
    assert server.rows("SELECT 1 FROM alerts_call WHERE call_id = 'call 1'")
