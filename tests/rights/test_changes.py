"""Rights that change while somebody is connected, felt on a process that did not change them."""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from alerts.credentials import mint
from tests.live import LiveServer, an_alert, bearer
from tests.rights.people import Browser, change, manage, second_server
from tests.rights.tokens import forged

OUT = (4002, "Invalid or expired JWT token")
LOST = (4003, "Call not allowed")
KINDS = itertools.count()
WITHIN_S = 20  # the promise is one second; a test that is late must not fail for it


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL and Redis"])
def first(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    services = {"DATABASE_URL": "postgres", "REDIS_URL": "redis"} if request.param != "SQLite" else {}
    server = LiveServer({name: request.getfixturevalue(service).url() for name, service in services.items()})
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture(scope="module")
def second(first: LiveServer) -> Iterator[LiveServer]:
    """Another process on the same database: whatever it knows of changes, it knows from there."""
    server = second_server(first)
    yield server
    server.stop()
    shutil.rmtree(server.folder)


async def watching(stack: contextlib.AsyncExitStack, server: LiveServer, token: str, query: str = "") -> Any:
    socket = await stack.enter_async_context(
        connect(server.ws(f"/ws/alerts?{query}"), additional_headers=bearer(token))
    )
    assert json.loads(await socket.recv())["type"] == "connected"
    return socket


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(WITHIN_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


async def gets(server: LiveServer, socket: ClientConnection, call_id: str, within_s: float = WITHIN_S) -> bool:
    """Whether alerts about the call, raised one after the other, reach the socket within some time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                alert = an_alert(call_id, severity="critical", kind=f"kind-{next(KINDS)}")
                [posted] = await asyncio.to_thread(server.post, alert)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        while json.loads(await socket.recv()).get("id") != posted["id"]:
                            pass
                        return True
    return False


async def gets_none(server: LiveServer, socket: ClientConnection, call_id: str) -> bool:
    return not await gets(server, socket, call_id, within_s=0.6)


CHANGES = {
    "revoked by jti": ("revoke", "--jti", "the-jti"),
    "revoked by user": ("revoke", "--user", "ann"),
}


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)
async def test_a_revoked_token_is_out_on_every_process(
    first: LiveServer, second: LiveServer, command: tuple[str, ...]
) -> None:
    token, other = forged(sub="ann", jti="the-jti"), forged(sub="bob", jti="another")
    async with contextlib.AsyncExitStack() as stack:
        here, there = [await watching(stack, server, token) for server in (first, second)]
        stays = await watching(stack, second, other)
        done = await asyncio.to_thread(manage, first, *command)
        assert done.returncode == 0, done.stderr
        assert await closed(here) == await closed(there) == OUT
        assert await gets(second, stays, "any-call")
    change(first, "DeniedToken.objects.all().delete(); TokenCutoff.objects.all().delete()")


async def test_a_token_that_is_revoked_by_rest_is_out_on_another_process(first: LiveServer, second: LiveServer) -> None:
    token = mint("carol", 3600, calls=["*"])
    async with contextlib.AsyncExitStack() as stack:
        socket = await watching(stack, second, token)
        assert first.call("POST", "/api/v1/token/revoke/", {}, token) == (200, {})
        assert await closed(socket) == OUT


async def test_who_leaves_the_team_loses_its_calls_and_who_comes_back_has_them(
    first: LiveServer, second: LiveServer
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        follows = await watching(stack, second, mint("mate", 3600), "callId=red-call")
        every = await watching(stack, second, mint("mate", 3600))
        assert await gets(second, every, "red-call")
        assert manage(first, "team", "red", "--remove", "mate").returncode == 0
        assert await closed(follows) == LOST
        assert await gets_none(second, every, "red-call")
        assert manage(first, "team", "red", "--add", "mate").stdout.split() == ["mate"]
        assert await gets(second, every, "red-call")


async def test_a_call_that_goes_to_another_team_takes_its_followers_along(
    first: LiveServer, second: LiveServer
) -> None:
    path, staff = "/api/v1/calls/moving/", mint("staff", 3600)
    assert first.call("PUT", path, {"team": "red"}, staff)[0] == 201
    async with contextlib.AsyncExitStack() as stack:
        follows = await watching(stack, second, mint("mate", 3600), "callId=moving")
        every = await watching(stack, second, mint("mate", 3600))
        assert await gets(second, every, "moving")
        assert first.call("PATCH", path, {"team": "blue"}, staff)[0] == 200
        assert await closed(follows) == LOST
        assert await gets_none(second, every, "moving")


TAKEN_AWAY = {
    "no longer active": "u = User.objects.get(username='{0}'); u.is_active = False; u.save()",
    "deleted": "User.objects.get(username='{0}').delete()",
}


@pytest.mark.parametrize("how", TAKEN_AWAY)
async def test_a_user_who_is_taken_away_is_out(first: LiveServer, second: LiveServer, how: str) -> None:
    name = how.replace(" ", "-")
    change(first, f"User.objects.create_user('{name}')")
    async with contextlib.AsyncExitStack() as stack:
        socket = await watching(stack, second, mint(name, 3600))
        change(first, TAKEN_AWAY[how].format(name))
        assert await closed(socket) == OUT


SEES_NO_MORE = {
    "is no staff any more": "u = User.objects.get(username='{0}'); u.is_staff = False; u.save()",
    "lost the permission": "User.objects.get(username='{0}').user_permissions.clear()",
    "left the group": "User.objects.get(username='{0}').groups.clear()",
    "whose group lost it": "Group.objects.get(name='{0}').permissions.clear()",
}


@pytest.mark.parametrize("why", SEES_NO_MORE)
async def test_staff_who_lose_the_right_to_see_all_see_only_their_teams_calls(
    first: LiveServer, second: LiveServer, why: str
) -> None:
    name = "".join(letter for letter in why if letter.isalpha())
    view = "p = Permission.objects.get(codename='view_alert')"
    right = "u.groups.create(name=u.username).permissions.add(p)" if "group" in why else "u.user_permissions.add(p)"
    change(first, f"u = User.objects.create_user('{name}', is_staff=True); {view}; {right}")
    async with contextlib.AsyncExitStack() as stack:
        every = await watching(stack, second, mint(name, 3600))
        follows = await watching(stack, second, mint(name, 3600), "callId=blue-call")
        assert await gets(second, every, "blue-call")
        change(first, SEES_NO_MORE[why].format(name))
        assert await closed(follows) == LOST
        assert await gets_none(second, every, "blue-call")


async def test_what_the_admin_changes_is_felt_too(first: LiveServer, second: LiveServer) -> None:
    change(first, "Team.objects.create(slug='green').members.add(User.objects.create_user('gina'))")
    assert first.call("PUT", "/api/v1/calls/green-call/", {"team": "green"}, mint("staff", 3600))[0] == 201
    admin = Browser(first)
    assert admin.sign_in("admin")
    [page] = re.findall(r'"(/admin/alerts/team/\d+/change/)">green<', admin.get("/admin/alerts/team/")[1])
    async with contextlib.AsyncExitStack() as stack:
        socket = await watching(stack, second, mint("gina", 3600), "callId=green-call")
        assert admin.post(page, {"slug": "green"})[0] == 302  # with no members
        assert await closed(socket) == LOST


async def test_a_signed_in_page_is_closed_when_its_user_is_deactivated(first: LiveServer, second: LiveServer) -> None:
    change(first, "from tests.live import PASSWORD; User.objects.create_user('page', password=PASSWORD)")
    browser = Browser(second)
    assert browser.sign_in("page")
    cookie = {"Cookie": f"sessionid={browser.cookie('sessionid')}"}
    origin = second.url("")
    async with connect(second.ws("/ws/alerts"), additional_headers=cookie, origin=origin) as socket:  # type: ignore[arg-type]
        assert json.loads(await socket.recv())["payload"]["userId"] == "page"
        change(first, TAKEN_AWAY["no longer active"].format("page"))
        assert await closed(socket) == OUT
