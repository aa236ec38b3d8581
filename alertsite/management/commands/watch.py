"""`manage.py watch`: alerts in the terminal, one line each, until Ctrl-C."""

import asyncio
import contextlib
import time
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from alerts.access import EVERY_CALL
from alerts.credentials import mint
from alertsite.management.one_line import OneLineCommand

VERSION_2 = Subprotocol("alerts.v2")
MAX_SHOWN = 10_000  # ids that are remembered, more than is ever sent again
FINAL_CODES = frozenset({1008, 4001, 4002, 4003})  # trying again would end the same way
RETRY_S = (0.5, 1, 2, 5)
OWN_TOKEN_S = 3600


class Command(OneLineCommand):
    help = "Show alerts as they come; connects again by itself and shows what came meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=f"ws://127.0.0.1:{settings.PORT}/ws/alerts", help="the alert socket")
        parser.add_argument("--token", help="a JWT; without, one for every call is made with this server's secret")
        parser.add_argument("--call", action="append", default=[], metavar="ID", help="only this call; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._watch(options["url"], options["token"], options["call"]))

    async def _watch(self, url: str, token: str | None, calls: list[str]) -> None:
        attempt = 0
        shown = Shown(calls)
        while True:
            bearer = token or mint("watch", OWN_TOKEN_S, ["subscribe"], [EVERY_CALL])
            try:
                headers = {"Authorization": f"Bearer {bearer}"}
                async with connect(url, additional_headers=headers, proxy=None, subprotocols=[VERSION_2]) as socket:
                    async for text in socket:
                        attempt = 0
                        frame = orjson.loads(text)
                        self._show(frame, shown)
                        if frame.get("type") == "connected":
                            for request in shown.requests(frame["payload"]["timestamp"]):
                                await socket.send(orjson.dumps(request).decode())
                    code, reason = socket.close_code, socket.close_reason
            except (InvalidURI, ValueError) as error:  # ValueError: a port that is none
                raise CommandError(f"--url {url!r}: {error}", returncode=2) from error
            except ConnectionClosed as error:
                code, reason = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "connection lost")
            except (OSError, InvalidHandshake, TimeoutError) as error:
                code, reason = 1006, str(error)
            if code in FINAL_CODES and not (code == 4002 and attempt == 0 and token is None):
                raise CommandError(f"{url}: {code} {reason}")
            delay_s = RETRY_S[min(attempt, len(RETRY_S) - 1)]
            attempt += 1
            self.stderr.write(f"disconnected ({code} {reason}); again in {delay_s} s")
            await asyncio.sleep(delay_s)

    def _show(self, frame: dict[str, Any], shown: "Shown") -> None:
        if frame.get("type") == "connected":
            self.stderr.write("connected; alerts come here, Ctrl-C ends")
        elif frame.get("type") == "error":
            raise CommandError(f"call {frame.get('ref', '')}: {frame['message']}")
        elif frame.get("type") == "unsubscribed":
            self.stderr.write(f"call {frame['callId']} may not be seen any more")
        elif frame.get("recovered") is False:
            self.stderr.write("more was missed than is sent again; GET /api/v1/alerts/ has the rest")
        elif "severity" in frame and shown.add(frame):
            self.stdout.write(line_of(frame))
            self.stdout.flush()


class Shown:
    """What was shown, so that after a break what was missed is shown, each alert once.

    Args:
        calls: the calls that are followed; none: all.
    """

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls
        self._ids: dict[str, None] = {}
        self._since: dict[str, int] = {}  # Unix ms of the server, by call ("": all): what is later may be missing

    def requests(self, now: int) -> list[dict[str, Any]]:
        """What is asked for on a new connection, which was made `now` by the server's clock."""
        back = dict(self._since)
        for call in self._calls or [""]:
            self._since.setdefault(call, now)
        if not self._calls:
            return [{"type": "resume", "since": back[""]}] if back else []
        asked = [{"type": "subscribe", "callId": call, "ref": call} for call in self._calls]
        return [one | ({"since": back[one["callId"]]} if back else {}) for one in asked]

    def add(self, alert: dict[str, Any]) -> bool:
        """Whether an alert is new."""
        call = alert.get("callId", "") if self._calls else ""
        self._since[call] = max(self._since.get(call, 0), alert["timestamp"])
        if alert["id"] in self._ids:
            return False
        self._ids[alert["id"]] = None
        if len(self._ids) > MAX_SHOWN:
            del self._ids[next(iter(self._ids))]
        return True


def line_of(alert: dict[str, Any]) -> str:
    """An alert as one line of plain characters, whatever was posted in it."""
    clock = time.strftime("%H:%M:%S", time.localtime(alert["timestamp"] / 1000))
    about = " ".join(filter(None, (alert.get("callId"), alert.get("channel"))))
    line = f"{clock}  {alert['severity']:<8}  {about}  {alert['title']}: {alert['message']}"
    return "".join(character if character.isprintable() else " " for character in line)
