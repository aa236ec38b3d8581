"""The application that any ASGI server can serve; background work starts on first use."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alertsite.settings")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

django: Any = get_asgi_application()  # sets Django up, so it comes before what imports models

from alertsite.routing import websocket  # noqa: E402

application = ProtocolTypeRouter({"http": django, "websocket": websocket})
