"""The subscribers' socket: who is let in, how much they may say, and what their requests do. The hub delivers."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import orjson
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http.request import split_domain_port, validate_host

from alerts import attendance, dispatch, frames, missed, rights
from alerts.access import Principal, anybody, is_call_id, may_subscribe, of_user, visible_alerts, visible_calls
from alerts.credentials import NOBODY, BadToken, credential_of, principal_of_ticket
from alerts.frames import Malformed, Request
from alerts.hub import the_hub
from alerts.limits import TokenBucket, Window
from alerts.missed import Resumption, Return
from alerts.outlet import Door
from alerts.places import places
from alerts.replay import Replay
from alerts.subscriber import EVERY_CALL, Subscriber
from alerts.threads import in_own_thread
from alerts.writer import now_ms

logger = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 64 * 1024
MESSAGES_PER_S, MESSAGES_AT_ONCE = 50, 200
MALFORMED_A_MINUTE = 100
MAX_CALLS = 1000
HEARTBEAT_MS = 20_000
STORE_WITHIN_S = 10
WARN_BEFORE_EXPIRY_S = 60
RECONNECT_AFTER_MS = (500, 5000)  # spread, so that a restart does not meet everybody at once
CLOSE_WITHIN_S = 5
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
    _place: str | None = None  # under whose name a place was taken

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """From the upgrade to the end; however it ends, nothing of it stays."""
        self._query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        self._protocol, self._version = frames.choose(scope.get("subprotocols", []), self._query.get("v"))
        self._door: Door | None = scope.get("extensions", {}).get("alertsite.door")
        self._messages = TokenBucket(MESSAGES_PER_S, MESSAGES_AT_ONCE)
        self._malformed = Window(MALFORMED_A_MINUTE, 60)
        self._timers: list[asyncio.TimerHandle] = []  # of the credential's end: one or two
        self._left = False
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._cancel_timers()
            if self._place is not None:
                places.give_back(self._place)
            if self.subscriber is not None:
                await the_hub().remove(self.subscriber)
                self.subscriber.drop()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Straight to the handlers: the original passes through the database's thread at every message."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    # Let in or refused

    async def connect(self) -> None:
        """A refusal completes the upgrade first, so that the client sees the code."""
        if self._door is not None:
            self._door.limit(MAX_MESSAGE_BYTES)
        try:
            self._check_origin()
            principal = await self._identify()
            self._take_a_place(principal.name)
            await self._check_call(principal)
        except Refused as refused:
            await self.accept(self._protocol)
            await self._close(refused.code, refused.reason)
        except (OperationalError, InterfaceError):
            logger.exception("the database is away; a subscriber could not be let in")
            await self.accept(self._protocol)
            await self._close(1011, "Internal error")
        else:
            await self.accept(self._protocol)
            await self._unless_it_fails(self._begin(principal))

    def _take_a_place(self, name: str) -> None:
        if the_hub().draining or not places.take(name):
            raise Refused(1013, "Too many subscribers")
        self._place = name

    async def _check_call(self, principal: Principal) -> None:
        if "subscribe" not in principal.scopes:
            raise Refused(4003, "Call not allowed")
        call_id = self._query.get("callId")
        if call_id and not (is_call_id(call_id) and await database_sync_to_async(may_subscribe)(principal, call_id)):
            raise Refused(4003, "Call not allowed")

    @property
    def _user(self) -> AbstractBaseUser | AnonymousUser:
        """Who the session cookie names."""
        user = self.scope["user"]
        assert user is not None, "the session middleware always names somebody"
        return user

    def _header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    def _check_origin(self) -> None:
        origin = self._header(b"origin")
        if origin is not None and origin not in settings.ALERT_ALLOWED_ORIGINS and origin != self._own_origin():
            raise Refused(1008, "Origin not allowed")
        by_cookie = self._token() is None and "ticket" not in self._query and self._user.is_authenticated
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

    async def _identify(self) -> Principal:
        token = self._token()
        if token is not None or "ticket" in self._query:
            try:
                if token is not None:
                    return await _let_in(token)
                return await database_sync_to_async(principal_of_ticket)(self._query["ticket"])
            except BadToken as error:
                logger.info("a subscriber was refused: %s", error)
                raise Refused(4002, "Invalid or expired JWT token") from error
        if self._user.is_authenticated:
            return await database_sync_to_async(of_user)(self._user.get_username())
        if not settings.ALERT_ENABLE_AUTH:
            return anybody(self._query.get("userId", ""))
        raise Refused(4001, "Missing or invalid JWT token")

    async def _begin(self, principal: Principal) -> None:
        if the_hub().draining:  # it came while the goodbyes were said
            await self._close(1001, "Server shutting down")
            return
        self.subscriber = subscriber = Subscriber(
            principal, self.send, self._leave, version=self._version, door=self._door, greeted=False
        )
        call_id = self._query.get("callId")
        replay = the_hub().replay(subscriber, call_id) if call_id and self._version > 1 else None
        await the_hub().add(subscriber, call_id)  # first, so that what is stored after the greeting is not missed
        subscriber.greet(self._greeting(principal))
        self._watch_expiry()
        rights.watch(the_hub())
        attendance.keep()
        if call_id and replay:
            await self._tell_subscribed(subscriber, Request("subscribe", call_id=call_id), replay)

    def _greeting(self, principal: Principal) -> str:
        session = {"sessionId": self._query.get("sessionId") or f"sub-{uuid.uuid4().hex[:12]}"}
        user = {"userId": principal.name} if principal.name else {}
        abilities = (
            {"protocol": "alerts.v2", "heartbeatMs": HEARTBEAT_MS}
            | {"resumeWindowMs": missed.WINDOW_MS, "maxCalls": MAX_CALLS}
            if self._version > 1
            else {}
        )
        return frames.encoded({"type": "connected", "payload": session | user | {"timestamp": now_ms()} | abilities})

    # The credential's end

    def _watch_expiry(self) -> None:
        """Sets the timers of the credential that counts now."""
        self._cancel_timers()
        assert self.subscriber is not None, "credentials are watched once the client was let in"
        expires_at = self.subscriber.principal.expires_at
        if expires_at is None:
            return
        loop, left_s = asyncio.get_running_loop(), max(0.0, expires_at - time.time())
        self._timers.append(
            loop.call_later(left_s, self.subscriber.end, 4002, "Invalid or expired JWT token"),
        )
        if self._version > 1:
            warning = frames.encoded({"type": "auth.expiring", "expiresAt": int(expires_at * 1000)})
            warn_in_s = max(0.0, left_s - WARN_BEFORE_EXPIRY_S)
            self._timers.append(loop.call_later(warn_in_s, self.subscriber.put, warning))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # What the client says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One message of the client, within its limits; a failure of ours ends this connection alone."""
        if self.subscriber is None or self._left:
            return
        data = bytes_data if text_data is None else text_data.encode()
        assert data is not None, "a message is text or bytes"
        if len(data) > MAX_MESSAGE_BYTES:
            await self._leave(1009, "Message too big")
        elif not self._messages.take(time.monotonic()):
            await self._too_many()
        else:
            await self._unless_it_fails(self._answer(self.subscriber, data))

    async def _unless_it_fails(self, answer: Coroutine[Any, Any, None]) -> None:
        """A failure of ours, most likely of the database, is told to the client, which has to come again."""
        try:
            await answer
        except Exception:
            logger.exception("a subscriber could not be answered")
            await self._leave(1011, "Internal error")

    async def _too_many(self) -> None:
        assert self.subscriber is not None, "messages are counted once the client was let in"
        if self._version > 1:
            self.subscriber.put(frames.error("rate_limited", "Too many messages"))
        await self._leave(1008, "Too many messages")

    async def _answer(self, subscriber: Subscriber, data: bytes) -> None:
        """Does what a message asks. What cannot be read is told to version 2, ignored for version 1, and counted."""
        try:
            request = frames.read(data, self._version)
        except Malformed as malformed:
            logger.info("a subscriber's message of %d bytes is no request (%s)", len(data), malformed.code)
            if not self._malformed.take(time.monotonic()):
                await self._too_many()
            elif self._version > 1:
                subscriber.put(frames.error(malformed.code, malformed.message, malformed.ref))
            return
        await self._handle(subscriber, request)

    async def _handle(self, subscriber: Subscriber, request: Request) -> None:
        match request.type:
            case "ping":
                subscriber.put(frames.encoded({"type": "pong", "timestamp": now_ms()}, request.ref))
            case "subscribe":
                await self._subscribe(subscriber, request)
            case "unsubscribe":
                await the_hub().unfollow(subscriber, request.call_id)
                self._confirm(subscriber, {"type": "unsubscribed", "callId": request.call_id}, request)
            case "resume":
                await self._resume(subscriber, request)
            case "acknowledge":
                await self._acknowledge(subscriber, request)
            case "auth":
                await self._renew(subscriber, request)
            case other:
                raise AssertionError(f"{other} is read but not handled")

    def _confirm(self, subscriber: Subscriber, frame: dict[str, Any], request: Request) -> None:
        """Version 2 is told what was done; version 1 has no frames for that."""
        if self._version > 1:
            subscriber.put(frames.encoded(frame, request.ref))

    async def _subscribe(self, subscriber: Subscriber, request: Request) -> None:
        """From now on only the chosen calls, this one among them, if it may be seen and there is room for it."""
        call_id = request.call_id
        if not await _may_follow(subscriber, call_id):
            if self._version == 1:
                await self._leave(4003, "Call not allowed")
            else:
                subscriber.put(frames.error("call_not_allowed", "Call not allowed", request.ref))
        elif call_id not in subscriber.calls and len(subscriber.calls) >= MAX_CALLS:
            logger.info("a subscriber follows %d calls and wants more", MAX_CALLS)
            if self._version > 1:
                message = f"No more than {MAX_CALLS} calls may be followed by one socket."
                subscriber.put(frames.error("too_many_calls", message, request.ref))
        elif self._version == 1:
            await the_hub().follow(subscriber, call_id)
        else:
            replay = self._replay_for(subscriber, request)
            await the_hub().follow(subscriber, call_id)
            await self._tell_subscribed(subscriber, request, replay)

    def _replay_for(self, subscriber: Subscriber, request: Request) -> Replay | None:
        """The replay that a subscribe asks for; none where one is under way and nothing else is asked."""
        under_way = subscriber.replay_of(request.call_id) is not None
        if under_way and request.last_seq is None and request.since is None:
            return None
        return the_hub().replay(subscriber, request.call_id)

    async def _tell_subscribed(self, subscriber: Subscriber, request: Request, replay: Replay | None) -> None:
        """Where the call stands, read once its alerts come here, and what was missed; what came since goes after it."""
        lacks = await the_hub().missed_of(Return(request.call_id, request.last_seq, request.since))
        about = {"callId": request.call_id}
        counts = {"seq": lacks.standing.seq, "replayed": len(lacks.alerts), "recovered": lacks.recovered}
        subscriber.put(frames.encoded({"type": "subscribed"} | about | counts, request.ref))
        if lacks.gap is not None:
            first, last = lacks.gap
            subscriber.put(frames.encoded({"type": "gap"} | about | {"fromSeq": first, "toSeq": last}))
        if replay is not None:
            replay.start(lacks)

    async def _resume(self, subscriber: Subscriber, request: Request) -> None:
        """Sends again what the stream of every call has brought since; what is live waits behind it."""
        if not the_hub().follows_every_call(subscriber):
            message = "resume is for the stream of every call; this socket has chosen calls."
            subscriber.put(frames.error("bad_request", message, request.ref))
            return
        assert request.since is not None, "resume is read with since only"
        replay = the_hub().replay(subscriber, EVERY_CALL)
        lacks = await the_hub().missed_of_all(Resumption(subscriber.principal, request.since))
        told = {"since": request.since, "replayed": len(lacks.alerts), "recovered": lacks.recovered}
        subscriber.put(frames.encoded({"type": "resumed"} | told, request.ref))
        replay.start(lacks)

    async def _acknowledge(self, subscriber: Subscriber, request: Request) -> None:
        """Writes that somebody has seen an alert. Of several one is the first; the others learn that."""
        principal, alert_id = subscriber.principal, request.alert_id
        assert alert_id is not None, "acknowledge is read with an id only"
        if "acknowledge" not in principal.scopes:
            subscriber.put(frames.error("forbidden", "The token has no scope acknowledge.", request.ref))
            return
        done = None
        if await in_own_thread(_sees_alert)(principal, alert_id):
            async with asyncio.timeout(STORE_WITHIN_S):
                writing = dispatch.acknowledge(alert_id, principal.name, request.note, within_s=0)
                done = await asyncio.wrap_future(writing)
        if done is None:
            subscriber.put(frames.error("not_found", "There is no such alert.", request.ref))
        elif done.by != principal.name:
            subscriber.put(frames.error("already_acknowledged", f"{done.by} has acknowledged it.", request.ref))
        else:
            about = {"id": str(alert_id), "acknowledgedAt": done.at, "acknowledgedBy": done.by, "note": done.note}
            subscriber.put(frames.encoded({"type": "acknowledged"} | about, request.ref))

    async def _renew(self, subscriber: Subscriber, request: Request) -> None:
        """A newer token of the same user takes the place of what let the client in."""
        try:
            principal = await _let_in(request.token)
        except BadToken as error:
            logger.info("a subscriber's new token was refused: %s", error)
            subscriber.put(frames.error("invalid_token", "Invalid or expired JWT token", request.ref))
            return
        if principal.name != subscriber.principal.name:
            subscriber.put(frames.error("subject_mismatch", "The token is of another user.", request.ref))
            return
        if "subscribe" not in principal.scopes:
            subscriber.put(frames.error("forbidden", "The token has no scope subscribe.", request.ref))
            return
        lost = await database_sync_to_async(_hidden)(principal, frozenset(subscriber.calls))
        for call_id in lost:
            await the_hub().unfollow(subscriber, call_id)
        await the_hub().change(subscriber, principal)
        self._watch_expiry()
        expires_at = {"expiresAt": int((principal.expires_at or 0) * 1000)}
        subscriber.put(frames.encoded({"type": "authenticated"} | expires_at, request.ref))
        for call_id in lost:
            subscriber.call_lost(call_id)

    async def _leave(self, code: int, reason: str) -> None:
        """Ends the connection from our side, at once for the hub; a client that does not read is cut off."""
        if self.subscriber is None or self._left:
            return
        self._left = True
        await the_hub().remove(self.subscriber)
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self.subscriber.drain()
                await self._close(code, reason)
        except Exception:
            logger.info("a subscriber could not be told to leave (%d %s)", code, reason)
            if self._door is not None:
                self._door.abort()

    async def _close(self, code: int, reason: str) -> None:
        """Sends the close frame; a server that cannot send the code (Daphne: all below 3000 but this) sends 1000."""
        try:
            await self.close(code, reason)
        except Exception:
            await self.close(1000)


async def _let_in(token: str) -> Principal:
    """Who a token lets in.

    Raises:
        BadToken: nobody.
    """
    principal = await the_hub().let_in(credential_of(token))
    if principal is None:
        raise BadToken(NOBODY)
    return principal


async def _may_follow(subscriber: Subscriber, call_id: str) -> bool:
    """Whether it may follow a call, by rights that have not changed while this was looked up."""
    while True:
        principal = subscriber.principal
        allowed = await database_sync_to_async(may_subscribe)(principal, call_id)
        if subscriber.principal is principal:
            return allowed


def _sees_alert(principal: Principal, alert_id: UUID) -> bool:
    return visible_alerts(principal).filter(pk=alert_id).exists()


def _hidden(principal: Principal, call_ids: frozenset[str]) -> frozenset[str]:
    """Which of these calls somebody may not see."""
    if principal.everything:
        return frozenset()
    asked = call_ids - principal.calls
    return asked.difference(visible_calls(principal).filter(call_id__in=asked).values_list("call_id", flat=True))


async def say_goodbye(within_s: float) -> None:
    """Tells every subscriber that the server stops, and closes its socket."""
    hub = the_hub()
    hub.draining = True
    await hub.drain(within_s)
    leaving = hub.subscribers()
    for subscriber in leaving:
        subscriber.put(_goodbye(subscriber.version))
    await hub.drain(within_s)
    await asyncio.gather(*(subscriber.close(1001, "Server shutting down") for subscriber in leaving))


def _goodbye(version: int) -> str:
    later = {"reconnectAfterMs": random.randint(*RECONNECT_AFTER_MS)} if version > 1 else {}
    return orjson.dumps({"type": "server_shutdown", "payload": {"timestamp": now_ms()} | later}).decode()
