"""What lets in: tickets of one use, tokens that are refreshed and revoked, sessions of our own pages."""

import asyncio
import concurrent.futures
import json
import time
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from alerts.credentials import mint
from tests.live import PASSWORD, LiveServer, bearer, publisher_token, watcher_token
from tests.rights.people import Browser, change, manage, second_server
from tests.rights.tokens import forged

REFUSED = (4002, "Invalid or expired JWT token")
IN = "in"


async def entered(server: LiveServer, query: str = "", **options: Any) -> Any:
    async with connect(server.ws(f"/ws/alerts?{query}"), **options) as socket:
        try:
            assert json.loads(await socket.recv())["type"] == "connected"
        except ConnectionClosed:
            return socket.close_code, socket.close_reason
        return IN


def ticket(server: LiveServer, token: str | None = None) -> str:
    status, answer = server.call("POST", "/api/v1/ws-tickets/", {}, token or watcher_token())
    assert status == 200
    assert 0 < answer["expiresAt"] - time.time() * 1000 <= 30_000
    return str(answer["ticket"])


async def test_a_ticket_lets_in_once(server: LiveServer) -> None:
    query = f"ticket={ticket(server)}"
    assert [await entered(server, query) for _ in range(2)] == [IN, REFUSED]


async def test_a_ticket_lets_in_once_however_many_come_at_once(server: LiveServer) -> None:
    query = f"ticket={ticket(server)}"
    answers = await asyncio.gather(*(entered(server, query) for _ in range(10)))
    assert sorted(answers, key=str) == [*([REFUSED] * 9), IN]


async def test_a_ticket_lets_in_once_on_two_processes(own_server: Any) -> None:
    first = own_server()
    second = second_server(first)
    try:
        query = f"ticket={ticket(first)}"
        answers = await asyncio.gather(*(entered(server, query) for server in (first, second) for _ in range(3)))
        assert sorted(answers, key=str) == [*([REFUSED] * 5), IN]
        assert await entered(second, f"ticket={ticket(first)}") == IN
    finally:
        second.stop()


async def test_a_ticket_has_the_rights_and_the_end_of_what_it_was_made_for(server: LiveServer) -> None:
    narrow = watcher_token("mine")
    assert await entered(server, f"callId=mine&ticket={ticket(server, narrow)}") == IN
    assert await entered(server, f"callId=other&ticket={ticket(server, narrow)}") == (4003, "Call not allowed")
    short = f"ticket={ticket(server, watcher_token(lifetime_s=3))}"
    async with connect(server.ws(f"/ws/alerts?{short}")) as socket:
        await socket.recv()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 30)
        assert (socket.close_code, socket.close_reason) == REFUSED


async def test_a_ticket_of_a_token_that_was_revoked_meanwhile_lets_nobody_in(server: LiveServer) -> None:
    token = watcher_token(name=f"t-{uuid.uuid4().hex}")
    unused = ticket(server, token)
    assert server.call("POST", "/api/v1/token/revoke/", {}, token)[0] == 200
    assert await entered(server, f"ticket={unused}") == REFUSED


@pytest.mark.parametrize("forgery", ["rubbish", "a:b:c", ".x", "%00", watcher_token()])
async def test_what_is_no_ticket_of_ours_is_refused(server: LiveServer, forgery: str) -> None:
    assert await entered(server, f"ticket={forgery}") == REFUSED


async def test_a_ticket_needs_a_credential_that_may_subscribe(server: LiveServer) -> None:
    assert server.call("POST", "/api/v1/ws-tickets/", {})[0] == 401
    assert server.call("POST", "/api/v1/ws-tickets/", {}, publisher_token())[0] == 403


def login(server: LiveServer, name: str = "mate") -> dict[str, str]:
    status, tokens = server.call("POST", "/api/v1/token/", {"username": name, "password": PASSWORD})
    assert status == 200
    return dict(tokens)


def reads(server: LiveServer, token: str) -> bool:
    return server.call("GET", "/api/v1/calls/", token=token)[0] == 200


def refreshes(server: LiveServer, token: Any) -> int:
    return server.call("POST", "/api/v1/token/refresh/", {"refresh": token})[0]


@pytest.mark.parametrize("shown", ["refresh", "access"])
def test_revoking_either_token_of_a_login_ends_both_and_no_other_login(server: LiveServer, shown: str) -> None:
    ended, other = login(server), login(server)
    if shown == "refresh":
        answer = server.call("POST", "/api/v1/token/revoke/", {"refresh": ended["refresh"]})
    else:
        answer = server.call("POST", "/api/v1/token/revoke/", {}, ended["access"])
    assert answer == (200, {})
    assert not reads(server, ended["access"])
    assert refreshes(server, ended["refresh"]) == 401
    assert reads(server, other["access"])
    assert refreshes(server, other["refresh"]) == 200


def test_a_refreshed_token_ends_with_its_login_too(server: LiveServer) -> None:
    tokens = login(server)
    _, fresh = server.call("POST", "/api/v1/token/refresh/", {"refresh": tokens["refresh"]})
    assert reads(server, fresh["access"])
    assert server.call("POST", "/api/v1/token/revoke/", {"refresh": tokens["refresh"]})[0] == 200
    assert not reads(server, fresh["access"])


def test_revoking_a_user_ends_every_token_of_before_and_none_of_after(server: LiveServer) -> None:
    change(server, f"User.objects.create_user('leaver', password='{PASSWORD}')")
    tokens, plain, undated = login(server, "leaver"), mint("leaver", 600), forged(sub="leaver", calls=["a"])
    assert reads(server, undated)
    done = manage(server, "revoke", "--user", "leaver")
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(reads(server, token) for token in (tokens["access"], plain, undated))
    assert refreshes(server, tokens["refresh"]) == 401
    after = login(server, "leaver")
    assert reads(server, after["access"])
    assert reads(server, mint("leaver", 600))
    assert reads(server, mint("mate", 600))


@pytest.mark.parametrize(
    "body",
    [{"refresh": "rubbish"}, {"refresh": 7}, {"refresh": None}, {"refresh": watcher_token()}, {}, []],
    ids=["rubbish", "a number", "null", "an access token", "nothing", "a list"],
)
def test_revoking_what_is_no_token_is_refused(server: LiveServer, body: Any) -> None:
    assert server.call("POST", "/api/v1/token/revoke/", body)[0] == 401


def test_a_token_without_a_jti_cannot_be_revoked_alone_and_says_so(server: LiveServer) -> None:
    status, answer = server.call("POST", "/api/v1/token/revoke/", {}, forged())
    assert status == 400
    assert "jti" in answer["detail"]


@pytest.mark.parametrize("subject", ["gone", "nobody"])
def test_who_may_not_come_in_gets_no_fresh_token(server: LiveServer, subject: str) -> None:
    refresh = forged(sub=subject, calls=None, token_type="refresh", jti=uuid.uuid4().hex)
    assert refreshes(server, refresh) == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": 7},
        {"jti": "x" * 256},
        {"sub": "x" * 151},
        {"sub": "a\0b"},
        {"iat": "today"},
        {"exp": 2**41},
        {"calls": [""]},  # alerts about no call are for who sees everything
        {"calls": ["a\0b"]},
        {"calls": {"*": 1}},
    ],
    ids=str,
)
def test_claims_that_no_issuer_of_ours_writes_are_refused(server: LiveServer, claims: dict[str, Any]) -> None:
    assert not reads(server, forged(**claims))


async def test_our_own_page_comes_in_by_its_session_and_only_from_our_own_pages(server: LiveServer) -> None:
    browser = Browser(server)
    assert browser.sign_in("mate")
    cookie = {"Cookie": f"sessionid={browser.cookie('sessionid')}"}
    assert await entered(server, additional_headers=cookie, origin=server.url("")) == IN
    no_origin = (1008, "Origin not allowed")
    assert await entered(server, additional_headers=cookie) == no_origin
    assert await entered(server, additional_headers=cookie, origin="https://evil.example") == no_origin
    assert await entered(server, f"ticket={ticket(server)}", additional_headers=cookie) == IN


async def test_a_header_counts_before_a_ticket_and_leaves_it_unused(server: LiveServer) -> None:
    query = f"ticket={ticket(server)}"
    assert await entered(server, query, additional_headers=bearer(watcher_token())) == IN
    assert await entered(server, query) == IN


@pytest.mark.parametrize("command", [[], ["--user", "a", "--jti", "b"], ["--user", ""], ["--jti", "x" * 256]])
def test_a_wrong_revoke_command_is_refused_and_says_why(server: LiveServer, command: list[str]) -> None:
    done = manage(server, "revoke", *command)
    assert done.returncode == 2
    assert "revoke" in done.stderr


def test_many_revocations_at_once_are_all_kept(server: LiveServer) -> None:
    tokens = [watcher_token(name=f"many-{number}") for number in range(20)]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = pool.map(lambda token: server.call("POST", "/api/v1/token/revoke/", {}, token), tokens)
        assert [status for status, _ in answers] == [200] * 20
    assert not any(reads(server, token) for token in tokens)
