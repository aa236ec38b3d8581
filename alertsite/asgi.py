"""The application that any ASGI server can serve; background work starts on first use."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alertsite.settings")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

django: Any = get_asgi_application()  # sets Django up, so it comes before what imports models

from alerts.hub import the_hub  # noqa: E402
from alertsite.routing import Role, websocket  # noqa: E402


def application_of(role: Role) -> Any:
    """The application of a process, by what it does among several."""
    protocols = ProtocolTypeRouter({"http": django, "websocket": websocket(role)})

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        the_hub().start()
        await protocols(scope, receive, send)

    return serve


application = application_of(Role.EVERYTHING)
