"""Teams and the calls that are theirs: the command, and REST's single calls."""

import base64
import uuid
from typing import Any

import pytest

from alerts.credentials import mint
from tests.live import LiveServer, publisher_token, watcher_token
from tests.rights.people import Browser, manage

STAFF = mint("staff", 3600)


def path_of(call_id: str) -> str:
    """The address of a call whose id may have any characters."""
    return "/api/v1/calls/~" + base64.urlsafe_b64encode(call_id.encode()).decode().rstrip("=") + "/"


@pytest.fixture
def slug() -> str:
    return f"team-{uuid.uuid4().hex[:8]}"


def test_the_command_makes_a_team_and_prints_its_members(server: LiveServer, slug: str) -> None:
    made = manage(server, "team", slug)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert manage(server, "team", slug, "--add", "outsider", "--add", "mate").stdout == "mate\noutsider\n"
    assert manage(server, "team", slug, "--remove", "mate").stdout == "outsider\n"
    assert manage(server, "team", slug).stdout == "outsider\n"


def test_an_unknown_user_is_named_and_nothing_changes(server: LiveServer, slug: str) -> None:
    done = manage(server, "team", slug, "--add", "mate", "--remove", "nobody")
    assert done.returncode == 1
    assert done.stderr.strip() == "CommandError: there is no user 'nobody'"
    assert server.rows("SELECT id FROM alerts_team WHERE slug = ?", slug) == []


@pytest.mark.parametrize("wrong", ["a b", "", "x" * 65, "ä"])
def test_a_name_that_is_no_slug_is_refused_and_named(server: LiveServer, wrong: str) -> None:
    done = manage(server, "team", wrong)
    assert done.returncode == 2
    assert repr(wrong) in done.stderr


ODD_IDS = ["plain", "a.b_c:d@e+f-g", "with/slash", "with space", "ünï", "~tilde", "50%", "x" * 256, "?query#", ".."]


@pytest.mark.parametrize("call_id", ODD_IDS)
def test_a_call_of_any_id_is_made_read_and_given_to_a_team(server: LiveServer, call_id: str) -> None:
    path = path_of(f"{uuid.uuid4().hex}{call_id}"[-256:])
    status, made = server.call("PUT", path, {}, STAFF)
    assert (status, made["team"], made["active"], made["alertCount"]) == (201, None, False, 0)
    assert server.call("PUT", path, {}, STAFF) == (200, made)
    assert server.call("PATCH", path, {"team": "red"}, STAFF) == (200, made | {"team": "red"})
    assert server.call("GET", path, token=mint("mate", 60)) == (200, made | {"team": "red"})
    assert server.call("PUT", path, {}, STAFF) == (200, made | {"team": "red"})
    assert server.call("PATCH", path, {"team": None}, STAFF) == (200, made)
    assert server.call("GET", path, token=mint("mate", 60))[0] == 404


def test_both_ways_to_write_an_id_lead_to_the_same_call(server: LiveServer) -> None:
    token = watcher_token()
    assert server.call("GET", "/api/v1/calls/red-call/", token=token) == server.call(
        "GET", path_of("red-call"), token=token
    )


@pytest.mark.parametrize("key", ["~", "~!", "~a", "~_w", "with%20space", "%C3%BC", "~AAA", path_of("x" * 257)[14:-1]])
def test_a_path_that_stands_for_no_id_is_not_found(server: LiveServer, key: str) -> None:
    answers = [
        server.call(method, f"/api/v1/calls/{key}/", {} if method == "PUT" else None, STAFF)
        for method in ("GET", "PUT")
    ]
    assert [status for status, _ in answers] == [404, 404]
    assert answers[0][1] == server.call("GET", "/api/v1/calls/nowhere/", token=STAFF)[1]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"team": "no-such-team"}, "no-such-team"),
        ({"team": 7}, "7"),
        ({"team": "a\0b"}, "a"),
        ({"colour": "red"}, "colour"),
        ([], "list"),
    ],
)
def test_what_cannot_be_done_is_refused_and_named(server: LiveServer, body: Any, told: str) -> None:
    for method in ("PUT", "PATCH"):
        status, answer = server.call(method, "/api/v1/calls/red-call/", body, STAFF)
        assert status == 400
        assert told in str(answer)


def test_who_may_not_arrange_calls_learns_nothing_of_them(server: LiveServer) -> None:
    for token in (mint("mate", 60), watcher_token(), publisher_token()):
        answers = [
            server.call(method, f"/api/v1/calls/{call_id}/", {"team": "red"}, token)
            for method in ("PUT", "PATCH")
            for call_id in ("red-call", "blue-call", "nowhere")
        ]
        assert answers == [answers[0]] * 6
        assert answers[0][0] == 403


def test_a_signed_in_person_reads_by_rest_what_the_page_shows(server: LiveServer) -> None:
    browser = Browser(server)
    assert browser.sign_in("mate")
    assert browser.get("/api/v1/calls/red-call/")[0] == 200
    assert browser.get("/api/v1/calls/blue-call/")[0] == 404
