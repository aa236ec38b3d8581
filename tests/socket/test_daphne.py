"""The functional part of the socket's tests again, on `manage.py runserver`, and what Daphne does otherwise.

Daphne sends no reason, and no code below 3000 but 1000: where the contract says 1008, 1009 or 1013 a client sees 1000.
It says no goodbye when it is stopped. What needs codes, limits of its buffers or pings is tested on `serve` alone.
"""

from types import ModuleType
from typing import Any

import pytest

from tests.alerts import test_subscribers
from tests.alerts.test_subscribers import BAD_TOKENS, refusal, until_closed
from tests.conftest import Connect
from tests.live import DaphneServer, LiveServer, bearer, watcher_token
from tests.rights.tokens import forged
from tests.socket import test_version_2
from tests.socket.conftest import Connect2
from tests.socket.test_limits import flood

OTHERWISE_HERE = {  # a reason or a code that Daphne cannot send; tested below as what it does
    "test_a_bad_token_is_refused_with_4002",
    "test_no_credential_is_refused_with_4001",
    "test_a_token_in_the_query_is_no_credential",
    "test_a_foreign_origin_is_refused_before_anything_else",
    "test_a_call_that_is_hidden_and_one_that_is_unknown_are_refused_alike",
    "test_a_refusal_selects_the_subprotocol_too_so_that_a_browser_sees_the_code",
    "test_a_refusal_selects_the_highest_version_too",
    "test_the_socket_closes_when_its_token_expires",
    "test_a_token_that_may_only_publish_follows_nothing",
    "test_subscribing_to_a_call_that_may_not_be_seen_ends_with_4003",
    "test_a_message_over_64_kib_ends_with_1009_and_one_of_64_kib_does_not",
    "test_who_brings_no_newer_token_is_warned_and_let_out",
}
OF_SERVE_ALONE = {  # servers of their own, the bound of what waits, the goodbye
    "test_more_sockets_than_a_user_may_have_are_refused_and_a_place_is_free_again_after",
    "test_many_who_come_at_once_get_no_more_places_than_there_are",
    "test_our_own_page_may_connect_at_every_address_that_it_is_served_from",
    "test_with_auth_off_the_limit_per_user_is_of_each_user_id",
    "test_with_auth_off_the_alert_socket_alone_is_open",
    "test_a_client_that_does_not_read_is_left_behind_and_the_others_are_not",
    "test_the_server_says_goodbye_after_everything_was_delivered",
    "test_the_goodbye_of_version_2_says_when_to_come_back",
}


def again(module: ModuleType) -> dict[str, Any]:
    """The tests of a module that hold on Daphne as they stand."""
    tests = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    return {name: test for name, test in tests.items() if name not in OTHERWISE_HERE | OF_SERVE_ALONE}


globals().update(again(test_subscribers) | again(test_version_2))


@pytest.fixture(scope="session")
def server(daphne: DaphneServer) -> LiveServer:
    """For this file the server is Daphne."""
    return daphne


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_a_bad_token_is_refused_with_4002_without_a_reason(server: LiveServer, token: str) -> None:
    assert await refusal(server, additional_headers=bearer(token)) == (4002, "")


async def test_no_credential_is_refused_with_4001_without_a_reason(server: LiveServer) -> None:
    assert await refusal(server) == (4001, "")


async def test_a_call_that_may_not_be_seen_is_refused_with_4003_without_a_reason(
    server: LiveServer, subscribe: Connect
) -> None:
    outsider = bearer(forged(sub="outsider", calls=None))
    assert await refusal(server, "/?callId=red-call", additional_headers=outsider) == (4003, "")
    client = await subscribe(watcher_token("mine"))
    await client.send(type="subscribe", callId="theirs")
    assert await until_closed(client.socket) == ([], (4003, ""))


async def test_a_token_that_expires_ends_with_4002_without_a_reason(server: LiveServer) -> None:
    assert await refusal(server, additional_headers=bearer(watcher_token(lifetime_s=2))) == (4002, "")


async def test_a_foreign_origin_is_refused_with_1000_instead_of_1008(server: LiveServer) -> None:
    assert await refusal(server, origin="https://evil.example") == (1000, "")


async def test_too_many_messages_end_with_1000_instead_of_1008(server: LiveServer, subscribe_2: Connect2) -> None:
    client = await subscribe_2()
    await flood(client, "{", 101)
    frames, closed = await until_closed(client.socket)
    assert (frames[-1]["code"], closed) == ("rate_limited", (1000, ""))


async def test_a_message_over_64_kib_ends_with_1000_instead_of_1009(server: LiveServer, subscribe: Connect) -> None:
    client = await subscribe()
    await client.socket.send(" " * (64 * 1024 + 1))
    assert await until_closed(client.socket) == ([], (1000, ""))


async def test_over_the_limit_is_refused_with_1000_instead_of_1013(server: LiveServer, subscribe: Connect) -> None:
    for _ in range(100):
        await subscribe(watcher_token(name="crowd"))
    assert await refusal(server, additional_headers=bearer(watcher_token(name="crowd"))) == (1000, "")
