"""The access matrix: every kind of user × every kind of call × every way in, with the answer written out.

`in`, `seen` and `hidden` speak for themselves; numbers are close codes or HTTP statuses; `login` is the way to the
login page; a dot is a question that does not arise. To hold another kind of server to it, add it to SERVERS.
"""

import asyncio
import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from alerts.credentials import mint
from tests.live import LiveServer, an_alert, bearer
from tests.rights.people import Browser, manage
from tests.rights.tokens import forged

# How to start each kind of server; they have the users and calls of tests/seed.py.
SERVERS: dict[str, Callable[[pytest.FixtureRequest], LiveServer]] = {
    "one process": lambda request: LiveServer(),
    "two web processes on PostgreSQL and Redis": lambda request: LiveServer(
        {
            "DATABASE_URL": request.getfixturevalue("postgres").url(),
            "REDIS_URL": request.getfixturevalue("redis").url(),
        },
        workers=2,
    ),
}

CALLS = ("red", "blue", "loose", "unknown", "none")  # mate's team's, another's, no team's, not there, about no call

TABLES = {
    # the socket with ?callId= (none: without)
    "connect": """
        anonymous        4001   4001   4001   4001   4001
        outsider         4003   4003   4003   4003   in
        mate             in     4003   4003   4003   in
        staff            in     in     in     in     in
        superuser        in     in     in     in     in
        listed           in     4003   4003   4003   in
        star             in     in     in     in     in
        expired          4002   4002   4002   4002   4002
        revoked          4002   4002   4002   4002   4002
        inactive         4002   4002   4002   4002   4002
        publisher        4003   4003   4003   4003   4003
        red's publisher  4003   4003   4003   4003   4003
    """,
    # a `subscribe` on the open socket
    "subscribe": """
        anonymous        4001   4001   4001   4001   .
        outsider         4003   4003   4003   4003   .
        mate             in     4003   4003   4003   .
        staff            in     in     in     in     .
        superuser        in     in     in     in     .
        listed           in     4003   4003   4003   .
        star             in     in     in     in     .
        expired          4002   4002   4002   4002   .
        revoked          4002   4002   4002   4002   .
        inactive         4002   4002   4002   4002   .
        publisher        4003   4003   4003   4003   .
        red's publisher  4003   4003   4003   4003   .
    """,
    # an alert raised while connected, never subscribed
    "stream": """
        anonymous        4001   4001   4001   .      4001
        outsider         hidden hidden hidden .      hidden
        mate             seen   hidden hidden .      hidden
        staff            seen   seen   seen   .      seen
        superuser        seen   seen   seen   .      seen
        listed           seen   hidden hidden .      hidden
        star             seen   seen   seen   .      seen
        expired          4002   4002   4002   .      4002
        revoked          4002   4002   4002   .      4002
        inactive         4002   4002   4002   .      4002
        publisher        4003   4003   4003   .      4003
        red's publisher  4003   4003   4003   .      4003
    """,
    # GET alerts/
    "alerts": """
        anonymous        401    401    401    .      401
        outsider         hidden hidden hidden .      hidden
        mate             seen   hidden hidden .      hidden
        staff            seen   seen   seen   .      seen
        superuser        seen   seen   seen   .      seen
        listed           seen   hidden hidden .      hidden
        star             seen   seen   seen   .      seen
        expired          401    401    401    .      401
        revoked          401    401    401    .      401
        inactive         401    401    401    .      401
        publisher        403    403    403    .      403
        red's publisher  403    403    403    .      403
    """,
    # POST alerts/
    "post": """
        anonymous        401    401    401    401    401
        outsider         403    403    403    403    403
        mate             403    403    403    403    403
        staff            403    403    403    403    403
        superuser        201    201    201    201    201
        listed           403    403    403    403    403
        star             403    403    403    403    403
        expired          401    401    401    401    401
        revoked          401    401    401    401    401
        inactive         401    401    401    401    401
        publisher        201    201    201    201    201
        red's publisher  201    404    404    404    404
    """,
    # GET calls/
    "calls": """
        anonymous        401    401    401    .      .
        outsider         hidden hidden hidden .      .
        mate             seen   hidden hidden .      .
        staff            seen   seen   seen   .      .
        superuser        seen   seen   seen   .      .
        listed           seen   hidden hidden .      .
        star             seen   seen   seen   .      .
        expired          401    401    401    .      .
        revoked          401    401    401    .      .
        inactive         401    401    401    .      .
        publisher        403    403    403    .      .
        red's publisher  403    403    403    .      .
    """,
    # GET calls/{callId}/
    "call": """
        anonymous        401    401    401    401    .
        outsider         404    404    404    404    .
        mate             200    404    404    404    .
        staff            200    200    200    404    .
        superuser        200    200    200    404    .
        listed           200    404    404    404    .
        star             200    200    200    404    .
        expired          401    401    401    401    .
        revoked          401    401    401    401    .
        inactive         401    401    401    401    .
        publisher        403    403    403    403    .
        red's publisher  403    403    403    403    .
    """,
    # GET alerts/{id}/
    "alert": """
        anonymous        401    401    401    401    401
        outsider         404    404    404    404    404
        mate             200    404    404    404    404
        staff            200    200    200    404    200
        superuser        200    200    200    404    200
        listed           200    404    404    404    404
        star             200    200    200    404    200
        expired          401    401    401    401    401
        revoked          401    401    401    401    401
        inactive         401    401    401    401    401
        publisher        403    403    403    403    403
        red's publisher  403    403    403    403    403
    """,
    # POST alerts/{id}/acknowledge/, by the same people with that scope
    "acknowledge": """
        anonymous        401    401    401    401    401
        outsider         404    404    404    404    404
        mate             200    404    404    404    404
        staff            200    200    200    404    200
        superuser        200    200    200    404    200
        listed           200    404    404    404    404
        star             200    200    200    404    200
        expired          401    401    401    401    401
        revoked          401    401    401    401    401
        inactive         401    401    401    401    401
        publisher        403    403    403    403    403
        red's publisher  403    403    403    403    403
    """,
    # POST alerts/{id}/resolve/, likewise
    "resolve": """
        anonymous        401    401    401    401    401
        outsider         404    404    404    404    404
        mate             200    404    404    404    404
        staff            200    200    200    404    200
        superuser        200    200    200    404    200
        listed           200    404    404    404    404
        star             200    200    200    404    200
        expired          401    401    401    401    401
        revoked          401    401    401    401    401
        inactive         401    401    401    401    401
        publisher        403    403    403    403    403
        red's publisher  403    403    403    403    403
    """,
    # GET calls/{callId}/alerts/
    "call's alerts": """
        anonymous        401    401    401    401    .
        outsider         404    404    404    404    .
        mate             200    404    404    404    .
        staff            200    200    200    404    .
        superuser        200    200    200    404    .
        listed           200    404    404    404    .
        star             200    200    200    404    .
        expired          401    401    401    401    .
        revoked          401    401    401    401    .
        inactive         401    401    401    401    .
        publisher        403    403    403    403    .
        red's publisher  403    403    403    403    .
    """,
    # POST calls/{callId}/findings/, …/summary/, …/transcript/ and …/network/, which answer alike
    "found": """
        anonymous        401    401    401    401    .
        outsider         403    403    403    403    .
        mate             403    403    403    403    .
        staff            403    403    403    403    .
        superuser        201    201    201    201    .
        listed           403    403    403    403    .
        star             403    403    403    403    .
        expired          401    401    401    401    .
        revoked          401    401    401    401    .
        inactive         401    401    401    401    .
        publisher        201    201    201    201    .
        red's publisher  201    404    404    404    .
    """,
    # GET stats/, which is about no call
    "stats": """
        anonymous        .      .      .      .      401
        outsider         .      .      .      .      200
        mate             .      .      .      .      200
        staff            .      .      .      .      200
        superuser        .      .      .      .      200
        listed           .      .      .      .      200
        star             .      .      .      .      200
        expired          .      .      .      .      401
        revoked          .      .      .      .      401
        inactive         .      .      .      .      401
        publisher        .      .      .      .      403
        red's publisher  .      .      .      .      403
    """,
    # PATCH calls/{callId}/, which gives it to a team
    "arrange": """
        anonymous        401    401    401    401    .
        outsider         403    403    403    403    .
        mate             403    403    403    403    .
        staff            200    200    200    404    .
        superuser        200    200    200    404    .
        listed           403    403    403    403    .
        star             403    403    403    403    .
        expired          401    401    401    401    .
        revoked          401    401    401    401    .
        inactive         401    401    401    401    .
        publisher        403    403    403    403    .
        red's publisher  403    403    403    403    .
    """,
    # POST ws-tickets/, and the socket with ?ticket= and ?callId=
    "ticket": """
        anonymous        401    401    401    401    401
        outsider         4003   4003   4003   4003   in
        mate             in     4003   4003   4003   in
        staff            in     in     in     in     in
        superuser        in     in     in     in     in
        listed           in     4003   4003   4003   in
        star             in     in     in     in     in
        expired          401    401    401    401    401
        revoked          401    401    401    401    401
        inactive         401    401    401    401    401
        publisher        403    403    403    403    403
        red's publisher  403    403    403    403    403
    """,
    # the live page, for who can sign in
    "page": """
        anonymous        login  login  login  .      login
        outsider         hidden hidden hidden .      hidden
        mate             seen   hidden hidden .      hidden
        staff            seen   seen   seen   .      seen
        superuser        seen   seen   seen   .      seen
        inactive         login  login  login  .      login
    """,
    # the admin's list of alerts
    "admin": """
        anonymous        login  login  login  .      login
        outsider         login  login  login  .      login
        mate             login  login  login  .      login
        staff            seen   seen   seen   .      seen
        superuser        seen   seen   seen   .      seen
        inactive         login  login  login  .      login
    """,
}


def cells() -> Iterator[Any]:
    for route, table in TABLES.items():
        for line in table.strip().splitlines():
            who, *answers = line.strip().rsplit(maxsplit=len(CALLS))
            for call, answer in zip(CALLS, answers, strict=True):
                if answer != ".":
                    yield pytest.param(who, route, call, answer, id=f"{who}-{route}-{call}")


class World:
    """A server, the calls, and everybody's credentials."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        revoked = forged(sub="star", calls=["*"], jti=uuid.uuid4().hex)
        self.tokens = {
            "outsider": mint("outsider", 3600),
            "mate": mint("mate", 3600),
            "staff": mint("staff", 3600),
            "superuser": mint("admin", 3600),
            "listed": mint("somebody", 3600, calls=["red-call"]),
            "star": mint("somebody", 3600, calls=["*"]),
            "expired": forged(exp=int(time.time()) - 6),
            "revoked": revoked,
            "inactive": mint("gone", 3600, calls=["*"]),
            "publisher": mint("engine", 3600, ["publish"], ["*"]),
            "red's publisher": mint("engine", 3600, ["publish"], ["red-call"]),
        }
        both = ["subscribe", "acknowledge"]
        self.acknowledgers = self.tokens | {
            "outsider": mint("outsider", 3600, both),
            "mate": mint("mate", 3600, both),
            "staff": mint("staff", 3600, both),
            "superuser": mint("admin", 3600, both),
            "listed": mint("somebody", 3600, both, ["red-call"]),
            "star": mint("somebody", 3600, both, ["*"]),
            "inactive": mint("gone", 3600, both, ["*"]),
        }
        assert server.call("POST", "/api/v1/token/revoke/", {}, revoked) == (200, {})
        server.post(an_alert("loose-call"))
        self._browsers: dict[str, Browser] = {}

    def call_id(self, call: str) -> str | None:
        if call == "none":
            return None
        return f"unknown-{uuid.uuid4().hex}" if call == "unknown" else f"{call}-call"

    def browser(self, who: str) -> Browser:
        if who not in self._browsers:
            self._browsers[who] = Browser(self.server)
            name = {"superuser": "admin", "inactive": "gone"}.get(who, who)
            if who != "anonymous":
                assert self._browsers[who].sign_in(name) == (who != "inactive")
        return self._browsers[who]

    def raised(self, call_id: str | None) -> dict[str, Any]:
        """An alert about the call, told from all others by its title and kind."""
        mark = f"mark-{uuid.uuid4().hex}"
        return self.server.post(an_alert(call_id, title=mark, kind=mark))[0] | {"title": mark}

    def rest(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.server.call(method, f"/api/v1/{path}", body, self.tokens.get(who))


@pytest.fixture(scope="module", params=SERVERS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    server = SERVERS[request.param](request)
    yield World(server)
    server.stop()
    shutil.rmtree(server.folder)


@pytest.mark.parametrize(("who", "route", "call", "answer"), list(cells()))
async def test_everybody_gets_the_answer_of_the_access_matrix(
    world: World, who: str, route: str, call: str, answer: str
) -> None:
    assert await asyncio.wait_for(ASK[route](world, who, world.call_id(call), answer), 60) == answer


async def _connect(world: World, who: str, call_id: str | None, answer: str) -> str:
    return await _entered(world, f"callId={call_id}" if call_id else "", world.tokens.get(who))


async def _ticket(world: World, who: str, call_id: str | None, answer: str) -> str:
    status, ticket = world.rest(who, "POST", "ws-tickets/", {})
    if status != 200:
        return str(status)
    query = f"ticket={ticket['ticket']}" + (f"&callId={call_id}" if call_id else "")
    return await _entered(world, query, None)


async def _entered(world: World, query: str, token: str | None) -> str:
    async with connect(world.server.ws(f"/ws/alerts?{query}"), additional_headers=token and bearer(token)) as socket:
        with contextlib.suppress(ConnectionClosed):
            assert json.loads(await socket.recv())["type"] == "connected"
            return "in"
        return str(socket.close_code)


async def _subscribe(world: World, who: str, call_id: str | None, answer: str) -> str:
    token = world.tokens.get(who)
    async with connect(world.server.ws("/ws/alerts"), additional_headers=token and bearer(token)) as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.recv()
            await socket.send(json.dumps({"type": "subscribe", "callId": call_id}))
            await socket.send('{"type":"ping"}')
            while json.loads(await socket.recv())["type"] != "pong":
                pass
            return "in"
        return str(socket.close_code)


async def _stream(world: World, who: str, call_id: str | None, answer: str) -> str:
    token = world.tokens.get(who)
    async with connect(world.server.ws("/ws/alerts"), additional_headers=token and bearer(token)) as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.recv()
            alert = await asyncio.to_thread(world.raised, call_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(20 if answer == "seen" else 0.5):
                    while json.loads(await socket.recv()).get("id") != alert["id"]:
                        pass
                    return "seen"
            return "hidden"
        return str(socket.close_code)


async def _alerts(world: World, who: str, call_id: str | None, answer: str) -> str:
    alert = world.raised(call_id)
    path = "alerts/?pageSize=500" + (f"&callId={call_id}" if call_id else "")
    return _shown(*world.rest(who, "GET", path), "id", alert["id"])


async def _calls(world: World, who: str, call_id: str | None, answer: str) -> str:
    return _shown(*world.rest(who, "GET", "calls/?pageSize=500"), "callId", call_id)


def _shown(status: int, page: Any, name: str, value: Any) -> str:
    if status != 200:
        return str(status)
    return "seen" if value in [one[name] for one in page["results"] if name in one] else "hidden"


async def _post(world: World, who: str, call_id: str | None, answer: str) -> str:
    return str(world.rest(who, "POST", "alerts/", an_alert(call_id))[0])


async def _call(world: World, who: str, call_id: str | None, answer: str) -> str:
    return str(world.rest(who, "GET", f"calls/{call_id}/")[0])


async def _alert(world: World, who: str, call_id: str | None, answer: str) -> str:
    return str(world.rest(who, "GET", f"alerts/{_id_of_an_alert(world, call_id)}/")[0])


async def _acknowledge(world: World, who: str, call_id: str | None, answer: str) -> str:
    return _changed(world, who, call_id, "acknowledge")


async def _resolve(world: World, who: str, call_id: str | None, answer: str) -> str:
    return _changed(world, who, call_id, "resolve")


def _changed(world: World, who: str, call_id: str | None, how: str) -> str:
    path = f"/api/v1/alerts/{_id_of_an_alert(world, call_id)}/{how}/"
    return str(world.server.call("POST", path, {}, world.acknowledgers.get(who))[0])


def _id_of_an_alert(world: World, call_id: str | None) -> str:
    """Of one about the call; about an unknown call there is none."""
    return str(uuid.uuid4()) if call_id and call_id.startswith("unknown") else world.raised(call_id)["id"]


async def _alerts_of_call(world: World, who: str, call_id: str | None, answer: str) -> str:
    return str(world.rest(who, "GET", f"calls/{call_id}/alerts/")[0])


async def _found(world: World, who: str, call_id: str | None, answer: str) -> str:
    overlap = {"type": "overlap", "timestamp": 0, "duration": 300, "severity": "low"}
    findings = world.rest(who, "POST", f"calls/{call_id}/findings/", {"events": [overlap]})[0]
    summary = world.rest(who, "POST", f"calls/{call_id}/summary/", {"summary": "They agreed."})[0]
    words = world.rest(who, "POST", f"calls/{call_id}/transcript/", {"segments": [{"text": "Hello."}]})[0]
    network = world.rest(who, "POST", f"calls/{call_id}/network/", {"samples": [{"mos": 4.1}]})[0]
    unheard = 409 if findings == 201 else findings  # nobody hears these calls
    alike = findings == summary and words == network == unheard
    return str(findings) if alike else f"{findings}, {summary}, {words} and {network}"


async def _stats(world: World, who: str, call_id: str | None, answer: str) -> str:
    return str(world.rest(who, "GET", "stats/")[0])


async def _arrange(world: World, who: str, call_id: str | None, answer: str) -> str:
    team = {"red-call": {"team": "red"}, "blue-call": {"team": "blue"}}.get(str(call_id), {"team": None})
    return str(world.rest(who, "PATCH", f"calls/{call_id}/", team)[0])


async def _page(world: World, who: str, call_id: str | None, answer: str) -> str:
    return _looked(world, who, "/", call_id)


async def _admin(world: World, who: str, call_id: str | None, answer: str) -> str:
    return _looked(world, who, "/admin/alerts/alert/", call_id)


def _looked(world: World, who: str, path: str, call_id: str | None) -> str:
    title = world.raised(call_id)["title"]
    status, html = world.browser(who).get(path)
    if status == 302:
        return "login"
    assert status == 200, html
    return "seen" if title in html else "hidden"


ASK = {
    "connect": _connect,
    "subscribe": _subscribe,
    "stream": _stream,
    "alerts": _alerts,
    "post": _post,
    "calls": _calls,
    "call": _call,
    "alert": _alert,
    "acknowledge": _acknowledge,
    "resolve": _resolve,
    "call's alerts": _alerts_of_call,
    "found": _found,
    "stats": _stats,
    "arrange": _arrange,
    "ticket": _ticket,
    "page": _page,
    "admin": _admin,
}


def test_a_hidden_call_and_an_unknown_one_are_answered_in_the_same_words(world: World) -> None:
    for who in ("outsider", "mate", "listed"):
        hidden, unknown = (world.rest(who, "GET", f"calls/{call_id}/") for call_id in ("blue-call", "nowhere"))
        assert hidden == unknown
    hidden, unknown = (
        world.rest("red's publisher", "POST", "alerts/", an_alert(call_id)) for call_id in ("blue-call", "nowhere")
    )
    assert hidden == unknown


def test_nobody_looks_in_the_admin_without_the_right_to_view_alerts(world: World) -> None:
    assert manage(world.server, "shell", "--no-imports", "-c", _MAKE_CLERK).returncode == 0
    clerk = Browser(world.server)
    assert clerk.sign_in("clerk")
    assert clerk.get("/admin/alerts/alert/")[0] == 403


_MAKE_CLERK = (
    "from django.contrib.auth.models import User; from tests.live import PASSWORD; "
    "User.objects.create_user('clerk', password=PASSWORD, is_staff=True)"
)
