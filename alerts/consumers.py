"""The subscribers' socket: who is let in, and the frames of version 1. What it follows is kept by the hub."""

import asyncio
import logging
import time
import uuid
from typing import Any
from urllib.parse import parse_qs

import orjson
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http.request import split_domain_port, validate_host

from alerts import rights
from alerts.access import Principal, anybody, is_call_id, may_subscribe, of_user
from alerts.credentials import BadToken, principal_of, principal_of_ticket
from alerts.hub import the_hub
from alerts.places import places
from alerts.subscriber import Subscriber
from alerts.writer import now_ms

logger = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 64 * 1024
CLOSE_WITHIN_S = 5
PROTOCOL = "alerts.v1"
BEARER = "bearer."


class Refused(Exception):
    """The connection cannot go on: a close code and its reason, from the contract's table."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class AlertConsumer(AsyncWebsocketConsumer):
    """One subscriber's connection."""

    channel_layer_alias = None  # type: ignore[assignment]  # the hub is in the groups, not every connection
    subscriber: Subscriber | None = None
    _expiry: asyncio.TimerHandle | None = None
    _ending: asyncio.Task[None] | None = None
    _place: str | None = None  # under whose name a place was taken

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Straight to the handlers: the original passes through the database's thread at every message."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def connect(self) -> None:
        """Let in or refused; a refusal completes the upgrade first, so that the client sees the code."""
        query = {name: values[-1] for name, values in parse_qs(self.scope["query_string"].decode("latin-1")).items()}
        offered = self.scope.get("subprotocols", [])
        try:
            principal = await self._admit(query)
        except Refused as refused:
            await self.accept(PROTOCOL if PROTOCOL in offered else None)
            await self.close(refused.code, refused.reason)
            return
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        await self._begin(principal, query)

    async def _admit(self, query: dict[str, str]) -> Principal:
        """The contract's checks, in its order."""
        self._check_origin(query)
        principal = await self._identify(query)
        if the_hub().draining or not places.take(principal.name):
            raise Refused(1013, "Too many subscribers")
        self._place = principal.name
        if "subscribe" not in principal.scopes:
            raise Refused(4003, "Call not allowed")
        call_id = query.get("callId")
        if call_id and not (is_call_id(call_id) and await database_sync_to_async(may_subscribe)(principal, call_id)):
            raise Refused(4003, "Call not allowed")
        return principal

    @property
    def _user(self) -> AbstractBaseUser | AnonymousUser:
        """Who the session cookie names."""
        user = self.scope["user"]
        assert user is not None, "the session middleware always names somebody"
        return user

    def _header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    def _check_origin(self, query: dict[str, str]) -> None:
        origin = self._header(b"origin")
        if origin is not None and origin not in settings.ALERT_ALLOWED_ORIGINS and origin != self._own_origin():
            raise Refused(1008, "Origin not allowed")
        by_cookie = self._token() is None and "ticket" not in query and self._user.is_authenticated
        if origin is None and by_cookie:
            raise Refused(1008, "Origin not allowed")

    def _own_origin(self) -> str | None:
        """The origin of our own pages at the address that the client used, if it is one of ours."""
        host = self._header(b"host") or ""
        if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
            return None
        return f"{'https' if self.scope.get('scheme') == 'wss' else 'http'}://{host}"

    def _token(self) -> str | None:
        """The JWT, by header or subprotocol."""
        scheme, _, value = (self._header(b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            return value.strip()
        return next((name[len(BEARER) :] for name in self.scope["subprotocols"] if name.startswith(BEARER)), None)

    async def _identify(self, query: dict[str, str]) -> Principal:
        token = self._token()
        if token is not None or "ticket" in query:
            try:
                if token is not None:
                    return await database_sync_to_async(principal_of)(token)
                return await database_sync_to_async(principal_of_ticket)(query["ticket"])
            except BadToken as error:
                logger.info("a subscriber was refused: %s", error)
                raise Refused(4002, "Invalid or expired JWT token") from error
        if self._user.is_authenticated:
            return await database_sync_to_async(of_user)(self._user.get_username())
        if not settings.ALERT_ENABLE_AUTH:
            return anybody(query.get("userId", ""))
        raise Refused(4001, "Missing or invalid JWT token")

    async def _begin(self, principal: Principal, query: dict[str, str]) -> None:
        self.subscriber = Subscriber(principal, self.send, self._leave)
        session = {"sessionId": query.get("sessionId") or f"sub-{uuid.uuid4().hex[:12]}"}
        user = {"userId": principal.name} if principal.name else {}
        self._reply({"type": "connected", "payload": session | user | {"timestamp": now_ms()}})
        await the_hub().add(self.subscriber, query.get("callId"))
        rights.watch(the_hub())
        if principal.expires_at is not None:
            left_s = max(0.0, principal.expires_at - time.time())
            self._expiry = asyncio.get_running_loop().call_later(left_s, self._expire)

    def _expire(self) -> None:
        self._ending = asyncio.create_task(self._leave(4002, "Invalid or expired JWT token"))

    def _reply(self, frame: dict[str, Any]) -> None:
        assert self.subscriber is not None, "frames are answered only after the client was let in"
        self.subscriber.put(orjson.dumps(frame).decode())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One frame of the client. What version 1 does not know is ignored, and logged without its content."""
        if self.subscriber is None:
            return
        data = bytes_data if text_data is None else text_data.encode()
        assert data is not None, "a message is text or bytes"
        if len(data) > MAX_MESSAGE_BYTES:
            await self._leave(1009, "Message too big")
            return
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            logger.info("a subscriber sent a frame that is no JSON object (%d bytes)", len(data))
            return
        await self._handle(self.subscriber, frame)

    async def _handle(self, subscriber: Subscriber, frame: dict[str, Any]) -> None:
        match frame:
            case {"type": "ping"}:
                self._reply({"type": "pong", "timestamp": now_ms()})
            case {"type": "subscribe", "callId": str(call_id)} if is_call_id(call_id):
                if await _may_follow(subscriber, call_id):
                    await the_hub().follow(subscriber, call_id)
                else:
                    await self._leave(4003, "Call not allowed")
            case {"type": "unsubscribe", "callId": str(call_id)} if is_call_id(call_id):
                await the_hub().unfollow(subscriber, call_id)
            case _:
                logger.info("a subscriber sent a frame of no known type or with a bad callId; it was ignored")

    async def _leave(self, code: int, reason: str) -> None:
        """Ends the connection from our side, at once for the hub; a client that does not read gets no more time."""
        if self.subscriber is not None:
            subscriber, self.subscriber = self.subscriber, None
            await the_hub().remove(subscriber)
            try:
                await asyncio.wait_for(self.close(code, reason), CLOSE_WITHIN_S)
            except Exception:
                logger.info("a subscriber could not be told to leave (%d %s)", code, reason)

    async def disconnect(self, code: int) -> None:
        """The client has gone."""
        if self._place is not None:
            places.give_back(self._place)
            self._place = None
        if self._expiry is not None:
            self._expiry.cancel()
        if self.subscriber is not None:
            await the_hub().remove(self.subscriber)
            self.subscriber = None


async def _may_follow(subscriber: Subscriber, call_id: str) -> bool:
    """Whether it may follow a call, by rights that have not changed while this was looked up."""
    while True:
        principal = subscriber.principal
        allowed = await database_sync_to_async(may_subscribe)(principal, call_id)
        if subscriber.principal is principal:
            return allowed


async def say_goodbye(within_s: float) -> None:
    """Tells every subscriber that the server stops, and closes its socket."""
    hub = the_hub()
    hub.draining = True
    await hub.drain(within_s)
    goodbye = orjson.dumps({"type": "server_shutdown", "payload": {"timestamp": now_ms()}}).decode()
    leaving = hub.subscribers()
    for subscriber in leaving:
        subscriber.put(goodbye)
    await hub.drain(within_s)
    await asyncio.gather(*(subscriber.close(1001, "Server shutting down") for subscriber in leaving))
