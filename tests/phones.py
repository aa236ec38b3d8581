"""A media server that hears in this process, phone systems that call it, and what is told about their streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from channels.db import database_sync_to_async
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from alerts.models import Alert, Call
from alertsite.calls import Patience
from alertsite.hearing import Hearing
from analysis.media import MediaApp
from tests.analysis.voices import Samples
from tests.ingest.servers import PUBLIC_URL, TOKEN, serving

ENDLESS = {"continuous_s": 1e9, "held_s": 1e9, "another_s": 1e9, "resume_s": 1e9, "look_s": 0.02}

Dial = Callable[..., AbstractAsyncContextManager[ClientConnection]]


@asynccontextmanager
async def hearing(**patience: float) -> AsyncIterator[tuple[Dial, Hearing]]:
    """A media server whose calls are as patient as told, and else without end; yields how to dial it."""
    heard = Hearing(Patience(**ENDLESS | patience))
    async with serving(MediaApp(heard, TOKEN, PUBLIC_URL)) as address:

        def dial(query: str = "call_id=c&channels=2", dialect: str = "pcm") -> AbstractAsyncContextManager[Any]:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            return connect(f"{address}/media/{dialect}/?{query}", additional_headers=headers, proxy=None)

        yield dial, heard
        await heard.stop()


async def until(true: Callable[[], Awaitable[Any]]) -> None:
    """Returns when it is true."""
    for _ in range(1000):
        if await true():
            return
        await asyncio.sleep(0.03)
    raise AssertionError("it does not come true")


@database_sync_to_async
def stream_alerts(call_id: str = "c") -> list[tuple[str, str]]:
    """What was told about the call's streams: kind and reason, in order."""
    told = Alert.objects.filter(call__call_id=call_id, type__in=("connection", "disconnection")).order_by("seq")
    return [(alert.kind, alert.data["reason"]) for alert in told]


async def told(*kinds: str, call_id: str = "c") -> None:
    """Returns when just these were told about the call's streams."""

    async def are_told() -> bool:
        return [kind for kind, _ in await stream_alerts(call_id)] == list(kinds)

    await until(are_told)


async def over(call_id: str = "c") -> None:
    """Returns when the call's row says that it is over."""

    async def is_over() -> bool:
        return await Call.objects.filter(call_id=call_id, active=False, ended_at__isnull=False).aexists()

    await until(is_over)


async def say(socket: ClientConnection, samples: Samples) -> None:
    """Raw audio, all of which has reached the server."""
    await socket.send(samples.astype("<i2").tobytes())
    await (await socket.ping())


async def hang_up(socket: ClientConnection) -> None:
    """The regular end of raw audio."""
    await socket.send('{"type":"CloseStream"}')
    await close_code(socket)


async def close_code(socket: ClientConnection) -> int | None:
    """Waits for the server's close: its code."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
    return socket.close_code
