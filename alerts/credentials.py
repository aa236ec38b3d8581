"""Tokens and tickets made, checked and revoked: what must be shown to be let in."""

import time
import uuid
from collections.abc import Iterable
from typing import Any

import jwt
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Q

from alerts import rights
from alerts.access import Credential, Principal, admit, is_call_id
from alerts.models import LONGEST_JTI, LONGEST_NAME, DeniedToken, TokenCutoff

AUDIENCE = "alertsite"
USED_KEPT_MS = 60_000  # a used ticket is remembered past its end by more than clocks differ
LEEWAY_S = 5
SHORTEST_SECRET_BYTES = 32
SCOPES = ("subscribe", "acknowledge", "publish")
TICKET_LIFETIME_S = 30
NOBODY = "it is revoked, or its user is unknown or not active"
TICKETS = "alertsite.ticket"  # a signature of something else is none of a ticket


class BadToken(Exception):
    """The token lets nobody in. The message says why, without the token."""


def mint(name: str, lifetime_s: int, scopes: Iterable[str] = ("subscribe",), calls: list[str] | None = None) -> str:
    """A token for `name`; without `calls` the database decides what they see."""
    now = time.time()
    claims: dict[str, Any] = {
        "sub": name,
        "aud": AUDIENCE,
        "iat": round(now, 3),  # to the millisecond, so that one made right after its user was revoked is good
        "exp": int(now) + lifetime_s,
        "jti": uuid.uuid4().hex,
        "scope": " ".join(scopes),
    }
    if calls is not None:
        claims["calls"] = calls
    return jwt.encode(claims, settings.ALERT_SERVER_JWT_SECRET, algorithm="HS256")


def principal_of(token: str) -> Principal:
    """Who an access token lets in, by its claims and the database.

    Raises:
        BadToken: it is not ours, has expired or is revoked, is for something else, or names nobody who may come in.
    """
    return let_in(credential_of(token))


def let_in(credential: Credential) -> Principal:
    """Who a credential lets in now.

    Raises:
        BadToken: nobody.
    """
    principal = admit([credential]).get(credential)
    if principal is None:
        raise BadToken(NOBODY)
    return principal


def credential_of(token: str, token_type: str = "access") -> Credential:
    """What a token says, its signature and its time checked.

    Raises:
        BadToken: it is not ours, has expired, or is for something else.
    """
    claims = _claims(token)
    if claims.get("token_type", "access") != token_type:
        raise BadToken(f"it is no {token_type} token")
    calls = claims.get("calls")
    return Credential(
        name=claims["sub"],
        calls=None if calls is None else frozenset(calls),
        scopes=frozenset(claims.get("scope", "subscribe").split()),
        ids=frozenset(claims[name] for name in ("jti", "login") if name in claims),
        issued_at=claims.get("iat", 0),
        expires_at=claims["exp"],
    )


def _claims(token: str) -> dict[str, Any]:
    if len(settings.ALERT_SERVER_JWT_SECRET.encode()) < SHORTEST_SECRET_BYTES:
        raise BadToken("there is no secret to check it with")  # auth is off, and everybody could sign with that
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            settings.ALERT_SERVER_JWT_SECRET,
            algorithms=["HS256"],
            leeway=LEEWAY_S,
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
    except (jwt.InvalidTokenError, ValueError, OverflowError) as error:
        raise BadToken(str(error)) from error
    audience = claims.get("aud", AUDIENCE)
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("it is for another audience")
    calls = claims.get("calls", [])
    if not isinstance(calls, list) or not all(isinstance(call, str) and is_call_id(call) for call in calls):
        raise BadToken("its calls are not a list of ids")
    if not _is_name(claims["sub"], LONGEST_NAME) or not isinstance(claims.get("scope", ""), str):
        raise BadToken("its subject or scope is not text")
    if not all(_is_name(claims.get(name, "none"), LONGEST_JTI) for name in ("jti", "login")):
        raise BadToken("its id is not text")
    if not all(type(claims.get(name, 0)) in (int, float) and claims.get(name, 0) < 2**40 for name in ("iat", "exp")):
        raise BadToken("its times are not Unix seconds")
    return claims


def _is_name(value: Any, longest: int) -> bool:
    """Text that a database takes: 1 to `longest` characters, no NUL."""
    return isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value


def ticket_for(credential: Credential) -> tuple[str, int]:
    """A ticket that lets in once in the place of a credential, and when it expires, Unix ms."""
    expires_at = time.time_ns() // 1_000_000 + TICKET_LIFETIME_S * 1000
    if credential.expires_at is not None:
        expires_at = min(expires_at, int(credential.expires_at * 1000))
    content = {
        "id": uuid.uuid4().hex,
        "until": expires_at,
        "name": credential.name,
        "calls": None if credential.calls is None else sorted(credential.calls),
        "scopes": sorted(credential.scopes),
        "ids": sorted(credential.ids),
        "issued_at": credential.issued_at,
        "expires_at": credential.expires_at,
    }
    return signing.dumps(content, salt=TICKETS, compress=True), expires_at


def principal_of_ticket(ticket: str) -> Principal:
    """Who a ticket lets in, this once: with the rights and the end of the credential it was made for.

    Raises:
        BadToken: it is not ours, was used, has expired, or its credential lets nobody in any more.
    """
    try:
        content = signing.loads(ticket, salt=TICKETS)
    except (signing.BadSignature, ValueError) as error:
        raise BadToken("the ticket is not ours") from error
    if content["until"] < time.time() * 1000:
        raise BadToken("the ticket has expired")
    if not _deny(content["id"], content["until"] + USED_KEPT_MS):
        raise BadToken("the ticket was used before")
    return let_in(
        Credential(
            name=content["name"],
            calls=None if content["calls"] is None else frozenset(content["calls"]),
            scopes=frozenset(content["scopes"]),
            ids=frozenset(content["ids"]),
            issued_at=content["issued_at"],
            expires_at=content["expires_at"],
        )
    )


def revoke_token(jti: str, expires_at: float | None = None) -> None:
    """Lets nobody in by this token any more; `expires_at` (Unix s) says until when that must be remembered."""
    with transaction.atomic():
        _deny(jti, None if expires_at is None else int((expires_at + LEEWAY_S) * 1000))
        rights.changed()


def revoke_user(name: str) -> None:
    """Lets nobody in any more by a token of this user that was issued until now."""
    with transaction.atomic():
        TokenCutoff.objects.update_or_create(name=name, defaults={"valid_after": time.time_ns() // 1_000_000 + 1})
        rights.changed()


def _deny(jti: str, expires_at: int | None) -> bool:
    """Notes an id as let in no more; False if it was before. One of several processes gets True: ids are unique."""
    now = time.time_ns() // 1_000_000
    DeniedToken.objects.filter(Q(expires_at__isnull=False) & Q(expires_at__lt=now)).delete()
    return DeniedToken.objects.get_or_create(jti=jti, defaults={"expires_at": expires_at})[1]
