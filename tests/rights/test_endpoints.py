"""Phone systems' endpoints: each with a secret, roles, a format and a team of its own."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from alerts.credentials import mint
from analysis.ingest.auth import twilio_signature
from tests.ingest.peers import TWILIO_STOP, twilio_media, twilio_start, voice
from tests.live import MEDIA_TOKEN, LiveServer
from tests.rights.people import Browser, change

SECRET, REFUSED = "a-secret-of-the-endpoint", (4401, "Unauthorised")
ROWS = f"""
red = Team.objects.get(slug='red')
make = MediaEndpoint.objects.create
make(slug='red-line', dialect='twilio', secret='{SECRET}', team=red, roles={{'inbound': 'agent', 'outbound': 'caller'}})
make(slug='signed', dialect='twilio', secret='{SECRET}', proof='signature')
said = {{'sample_rate': '16000', 'roles': 'agent'}}
make(slug='raw', dialect='pcm', secret='{SECRET}', team=red, default_format=said)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    server = LiveServer({"PUBLIC_URL": "http://alerts.example.com"})
    change(server, ROWS)
    yield server
    server.stop()
    shutil.rmtree(server.folder)


async def sent(server: LiveServer, path: str, *messages: Any, headers: dict[str, str] | None = None) -> Any:
    """Sends a phone system's messages; the code and reason of the close that answers."""
    async with connect(server.ws(path), additional_headers=headers) as socket:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                await socket.send(message)
            async with asyncio.timeout(30):
                async for _ in socket:
                    pass
        return socket.close_code, socket.close_reason


def a_call(call_id: str, token: str) -> list[str]:
    frames = [twilio_media(number, data) for number, data in enumerate(voice(3), 1)]
    start = twilio_start(callSid=call_id, tracks=["inbound"], customParameters={"token": token})
    return [start, *frames, TWILIO_STOP]


def seen_by(server: LiveServer, name: str, call_id: str) -> Any:
    return server.call("GET", f"/api/v1/calls/{call_id}/", token=mint(name, 60))


async def test_a_call_belongs_to_the_team_of_its_endpoint_and_has_its_roles(server: LiveServer) -> None:
    assert await sent(server, "/media/twilio/red-line/", *a_call("CA-red", SECRET)) == (1000, "")
    status, call = seen_by(server, "mate", "CA-red")
    assert (status, call["team"], call["channels"]) == (200, "red", ["agent"])
    assert seen_by(server, "outsider", "CA-red")[0] == 404


async def test_raw_audio_takes_from_its_endpoint_what_it_does_not_say(server: LiveServer) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    done = await sent(server, "/media/pcm/raw/?call_id=raw-1", b"\0" * 640, '{"type":"CloseStream"}', headers=headers)
    assert done == (1000, "")
    status, call = seen_by(server, "mate", "raw-1")
    assert (status, call["team"], call["channels"]) == (200, "red", ["agent"])
    other = "/media/pcm/raw/?call_id=raw-2&roles=caller"
    assert await sent(server, other, b"\0" * 640, '{"type":"CloseStream"}', headers=headers) == (1000, "")
    assert seen_by(server, "mate", "raw-2")[1]["channels"] == ["caller"]


REFUSALS = {
    "another secret": ("/media/twilio/red-line/", a_call("CA-no", "another-secret-altogether"), {}),
    "the default endpoint's token": ("/media/twilio/red-line/", a_call("CA-no", MEDIA_TOKEN), {}),
    "the endpoint's secret at the default one": ("/media/twilio/", a_call("CA-no", SECRET), {}),
    "no such endpoint": ("/media/twilio/nowhere/", a_call("CA-no", SECRET), {}),
    "an endpoint of another dialect": ("/media/twilio/raw/", a_call("CA-no", SECRET), {}),
    "a name that is none": ("/media/twilio/a%00b/", a_call("CA-no", SECRET), {}),
    "a token where a signature is asked for": ("/media/twilio/signed/", a_call("CA-no", SECRET), {}),
    "the secret as a header, likewise": (
        "/media/twilio/signed/",
        a_call("CA-no", SECRET),
        {"Authorization": f"Bearer {SECRET}"},
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_whoever_is_not_let_in_hears_the_same_words(server: LiveServer, why: str) -> None:
    path, messages, headers = REFUSALS[why]
    assert await sent(server, path, *messages, headers=headers) == REFUSED
    assert server.rows("SELECT id FROM alerts_call WHERE call_id = 'CA-no'") == []


async def test_an_endpoint_that_asks_for_a_signature_takes_it(server: LiveServer) -> None:
    signature = twilio_signature(SECRET, "wss://alerts.example.com/media/twilio/signed/").decode()
    headers = {"X-Twilio-Signature": signature}
    assert await sent(server, "/media/twilio/signed/", *a_call("CA-signed", ""), headers=headers) == (1000, "")


async def test_an_endpoint_of_a_team_does_not_speak_into_another_teams_call(server: LiveServer) -> None:
    assert await sent(server, "/media/twilio/red-line/", *a_call("blue-call", SECRET)) == REFUSED
    assert server.rows("SELECT active FROM alerts_call WHERE call_id = 'blue-call'") == [(0,)]
    assert (
        server.rows(
            "SELECT a.id FROM alerts_alert a JOIN alerts_call c ON c.id = a.call_id AND c.call_id = ?", "blue-call"
        )
        == []
    )


def test_the_secret_is_in_no_log(server: LiveServer) -> None:
    assert SECRET not in server.log


WRONG = {
    "a short secret": {"secret": "short"},
    "a signature of raw audio": {"dialect": "pcm", "proof": "signature"},
    "a role that there is not": {"roles": '{"inbound": "boss", "outbound": "caller"}'},
    "one role for both": {"roles": '{"inbound": "caller", "outbound": "caller"}'},
    "roles of raw audio": {"dialect": "pcm", "roles": '{"inbound": "caller", "outbound": "agent"}'},
    "an unknown field": {"dialect": "pcm", "default_format": '{"colour": "red"}'},
    "a number": {"dialect": "pcm", "default_format": '{"sample_rate": 16000}'},
    "a list": {"roles": "[1]"},
}


@pytest.mark.parametrize("why", WRONG)
def test_the_admin_refuses_an_endpoint_that_could_not_work(server: LiveServer, why: str) -> None:
    admin = Browser(server)
    assert admin.sign_in("admin")
    form = {"slug": "new", "dialect": "twilio", "secret": SECRET, "proof": "any", "roles": "{}", "default_format": "{}"}
    status, page = admin.post("/admin/alerts/mediaendpoint/add/", form | WRONG[why])
    assert status == 200
    assert "Please correct the error" in page
    assert server.rows("SELECT id FROM alerts_mediaendpoint WHERE slug = 'new'") == []


def test_the_admin_makes_an_endpoint(server: LiveServer) -> None:
    admin = Browser(server)
    assert admin.sign_in("admin")
    form = {"slug": "made", "dialect": "pcm", "secret": SECRET, "proof": "token", "roles": "{}"}
    form |= {"default_format": json.dumps({"encoding": "mulaw"})}
    assert admin.post("/admin/alerts/mediaendpoint/add/", form)[0] == 302
    assert SECRET not in admin.get("/admin/alerts/mediaendpoint/")[1]
