"""Which socket goes where: media to what hears, subscribers to the alert consumer, anything else is refused."""

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


async def websocket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Plain ASGI, so that media frames pass through no middleware."""
    path = scope["path"]
    if path.startswith("/media/"):
        await media()(scope, receive, send)
    elif path.rstrip("/") in SUBSCRIBER_PATHS:
        await subscribers(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # before the upgrade: the client gets HTTP 403
