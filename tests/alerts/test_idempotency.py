"""`Idempotency-Key` on the real server: made once, answered alike, whatever was lost on the way."""

import concurrent.futures
import http.client
import time
import uuid
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.credentials import mint
from alerts.idempotency import _ids
from alerts.models import Answered
from tests.live import LiveServer, an_alert, publisher_token

ALERTS = "/api/v1/alerts/"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def key() -> str:
    return f"key-{uuid.uuid4().hex}"


def post(server: LiveServer, key: str, body: Any, token: str | None = None) -> tuple[int, bool, Any]:
    """The status, whether it is said to be an earlier answer, and the answer."""
    token = token or publisher_token()
    status, headers, answer = server.exchange("POST", ALERTS, body, token, Idempotency_Key=key)
    return status, headers.get("Idempotency-Replayed") == "true", answer


def stored(server: LiveServer, call_id: str) -> list[uuid.UUID]:
    rows = server.rows(
        "SELECT id FROM alerts_alert WHERE call_id = (SELECT id FROM alerts_call WHERE call_id = ?)"
        " ORDER BY timestamp, id",
        call_id,
    )
    return [uuid.UUID(str(id_)) for (id_,) in rows]


def ids_of(answer: Any) -> list[uuid.UUID]:
    return [uuid.UUID(result["id"]) for result in answer["results"]]


def test_a_repeat_gets_the_first_answer_and_makes_nothing(server: LiveServer, key: str) -> None:
    body = [an_alert(key, kind=str(number)) for number in range(3)]
    status, replayed, first = post(server, key, body)
    assert (status, replayed) == (201, False)
    assert post(server, key, body) == (201, True, first)
    assert stored(server, key) == ids_of(first)


def test_blanks_and_the_order_of_names_make_no_other_body(server: LiveServer, key: str) -> None:
    alert = an_alert(key)
    first = post(server, key, alert)[2]
    assert post(server, key, dict(reversed(alert.items()))) == (201, True, first)


def test_another_body_under_the_same_key_is_a_conflict(server: LiveServer, key: str) -> None:
    first = post(server, key, an_alert(key))[2]
    status, _, answer = post(server, key, an_alert(key, kind="other"))
    assert status == 409
    assert "Idempotency-Key" in answer["detail"]
    assert stored(server, key) == ids_of(first)


def test_a_key_belongs_to_who_sent_it(server: LiveServer, key: str) -> None:
    mine, another = mint("engine-1", 60, ["publish"], [key]), mint("engine-2", 60, ["publish"], [key])
    first, second = (post(server, key, an_alert(key, kind="same"), token) for token in (mine, another))
    assert [first[:2], second[:2]] == [(201, False)] * 2
    assert stored(server, key) == ids_of(first[2]) + ids_of(second[2])


@pytest.mark.parametrize("bad", ["", "x" * 256, "caf\u00e9", "a\tb"], ids=["empty", "too long", "not ASCII", "a tab"])
def test_a_key_that_is_none_is_named(server: LiveServer, bad: str) -> None:
    status, _, answer = post(server, bad, an_alert("no-key"))
    assert (status, list(answer)) == (400, ["Idempotency-Key"])


def test_what_was_refused_is_judged_anew(server: LiveServer, key: str) -> None:
    assert post(server, key, an_alert(key, severity="awful"))[0] == 400
    assert post(server, key, an_alert(key), mint("engine", 60, ["publish"], ["another"]))[0] == 404
    assert post(server, key, an_alert(key))[:2] == (201, False)


def test_of_many_at_once_with_one_key_one_makes_it_and_all_say_the_same(server: LiveServer, key: str) -> None:
    body = [an_alert(key, kind=str(number)) for number in range(5)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(server, key, body), range(16)))
    assert {status for status, _, _ in answers} == {201}
    assert [replayed for _, replayed, _ in answers].count(False) == 1
    assert all(answer == answers[0][2] for _, _, answer in answers)
    assert stored(server, key) == ids_of(answers[0][2])


def test_a_day_later_the_key_is_free(server: LiveServer, key: str) -> None:
    first = post(server, key, an_alert(key, kind="then"))[2]
    server.alter("UPDATE alerts_answered SET asked_at = asked_at - ? WHERE key = ?", DAY_MS + 1, key)
    status, replayed, second = post(server, key, an_alert(key, kind="now"))
    assert (status, replayed) == (201, False)
    assert stored(server, key) == ids_of(first) + ids_of(second)
    assert server.rows("SELECT COUNT(*) FROM alerts_answered WHERE key = ?", key) == [(1,)]


def test_what_was_stored_but_never_answered_is_answered_by_a_repeat(server: LiveServer, key: str) -> None:
    """As it is when the server is killed between the two commits."""
    body = [an_alert(key, kind=str(number)) for number in range(3)]
    first = post(server, key, body)[2]
    server.alter("UPDATE alerts_answered SET status = NULL, answer = '{}' WHERE key = ?", key)
    assert post(server, key, body) == (201, False, first)
    assert stored(server, key) == ids_of(first)


def test_after_a_kill_amid_posts_each_key_stands_for_one_alert(own_server: Any) -> None:
    server = own_server()
    answers: dict[str, Any] = {}  # none: it was not answered

    def send_until_it_fails(sender: int) -> None:
        for number in count():
            key = f"kill-{sender}-{number}"
            answers[key] = None
            answers[key] = post(server, key, an_alert(key))[2]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send_until_it_fails, sender) for sender in range(4)]
        while sum(answer is not None for answer in tuple(answers.values())) < 12:
            assert not any(future.done() for future in sending)
            time.sleep(0.01)
        server.process.kill()
        lost = [future.exception() for future in sending]
    assert all(isinstance(error, (OSError, http.client.HTTPException)) for error in lost), lost
    server.restart()
    for key, before in answers.items():
        _, replayed, again = post(server, key, an_alert(key))
        assert stored(server, key) == ids_of(again)
        assert before is None or (replayed and again == before)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**48 - 10_000), st.text(max_size=20), st.text(max_size=20))
def test_ids_made_for_a_key_are_uuids_of_version_7_in_order_and_the_same_each_time(at: int, who: str, key: str) -> None:
    asked = Answered(source=who, route="/", key=key, asked_at=at)
    ids = list(islice(_ids(asked), 4200))
    assert ids == sorted(set(ids)) == list(islice(_ids(asked), 4200))
    assert {id_.version for id_ in ids} == {7}
    assert ids[0].int >> 80 == at
    assert next(_ids(Answered(source=who + "x", route="/", key=key, asked_at=at))) not in ids
