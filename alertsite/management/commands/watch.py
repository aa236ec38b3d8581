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

from alerts.access import EVERY_CALL
from alerts.credentials import mint
from alertsite.management.one_line import OneLineCommand

FINAL_CODES = frozenset({1008, 4001, 4002, 4003})  # trying again would end the same way
RETRY_S = (0.5, 1, 2, 5)
OWN_TOKEN_S = 3600


class Command(OneLineCommand):
    help = "Show alerts as they come; connects again by itself."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=f"ws://127.0.0.1:{settings.PORT}/ws/alerts", help="the alert socket")
        parser.add_argument("--token", help="a JWT; without, one for every call is made with this server's secret")
        parser.add_argument("--call", action="append", default=[], metavar="ID", help="only this call; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._watch(options["url"], options["token"], options["call"]))

    async def _watch(self, url: str, token: str | None, calls: list[str]) -> None:
        attempt = 0
        while True:
            bearer = token or mint("watch", OWN_TOKEN_S, ["subscribe"], [EVERY_CALL])
            try:
                headers = {"Authorization": f"Bearer {bearer}"}
                async with connect(url, additional_headers=headers, proxy=None) as socket:
                    for call in calls:
                        await socket.send(orjson.dumps({"type": "subscribe", "callId": call}).decode())
                    async for frame in socket:
                        attempt = 0
                        self._show(orjson.loads(frame))
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

    def _show(self, frame: dict[str, Any]) -> None:
        if frame.get("type") == "connected":
            self.stderr.write("connected; alerts come here, Ctrl-C ends")
        elif "id" in frame:
            self.stdout.write(line_of(frame))
            self.stdout.flush()


def line_of(alert: dict[str, Any]) -> str:
    """An alert as one line of plain characters, whatever was posted in it."""
    clock = time.strftime("%H:%M:%S", time.localtime(alert["timestamp"] / 1000))
    about = " ".join(filter(None, (alert.get("callId"), alert.get("channel"))))
    line = f"{clock}  {alert['severity']:<8}  {about}  {alert['title']}: {alert['message']}"
    return "".join(character if character.isprintable() else " " for character in line)
