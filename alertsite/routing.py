"""Which socket goes where: media to what hears, subscribers to the alert consumer, anything else is refused."""

from enum import StrEnum
from functools import cache
from typing import Any

from channels.auth import AuthMiddlewareStack
from django.conf import settings

from alerts.consumers import AlertConsumer
from alertsite.endpoints import find_endpoint
from alertsite.hearing import the_hearing
from analysis.media import MediaApp

SUBSCRIBER_PATHS = frozenset({"", "/ws/alerts"})  # with or without a last slash

subscribers: Any = AuthMiddlewareStack(AlertConsumer.as_asgi())


@cache
def media() -> MediaApp:
    """The media sockets of this process."""
    return MediaApp(the_hearing(), settings.MEDIA_TOKEN, settings.PUBLIC_URL, find_endpoint=find_endpoint)


class Role(StrEnum):
    """What a process does among several: the calls of a machine are heard in one place."""

    EVERYTHING = "everything"
    WEB = "web"
    HEARING = "hearing"


def websocket(role: Role) -> Any:
    """Plain ASGI, so that media frames pass through no middleware."""
    to_media = _heard_elsewhere if role is Role.WEB else media()
    to_alerts = _nowhere if role is Role.HEARING else subscribers

    async def route(scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if path.startswith("/media/"):
            await to_media(scope, receive, send)
        elif path.rstrip("/") in SUBSCRIBER_PATHS:
            await to_alerts(scope, receive, send)
        else:
            await _nowhere(scope, receive, send)

    return route


async def _heard_elsewhere(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1013, "reason": f"Calls are heard on port {settings.MEDIA_PORT}"})


async def _nowhere(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})  # before the upgrade: the client gets HTTP 403
