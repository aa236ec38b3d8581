"""Tokens made and checked: what a JWT must say to let somebody in."""

import time
import uuid
from collections.abc import Iterable
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth import get_user_model

from alerts.access import EVERY_CALL, Principal, of_user

AUDIENCE = "alertsite"
LEEWAY_S = 5
SCOPES = ("subscribe", "acknowledge", "publish")


class BadToken(Exception):
    """The token lets nobody in. The message says why, without the token."""


def mint(name: str, lifetime_s: int, scopes: Iterable[str] = ("subscribe",), calls: list[str] | None = None) -> str:
    """A token for `name`; without `calls` the database decides what they see."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": name,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + lifetime_s,
        "jti": uuid.uuid4().hex,
        "scope": " ".join(scopes),
    }
    if calls is not None:
        claims["calls"] = calls
    return jwt.encode(claims, settings.ALERT_SERVER_JWT_SECRET, algorithm="HS256")


def principal_of(token: str) -> Principal:
    """Who a token lets in, by its claims and the database.

    Raises:
        BadToken: it is not ours, has expired, is for something else, or names nobody who may come in.
    """
    claims = _claims(token)
    name, scopes = claims["sub"], frozenset(claims.get("scope", "subscribe").split())
    user = get_user_model().objects.filter(username=name).first()
    if user is not None and not user.is_active:
        raise BadToken("its user is not active")
    calls = claims.get("calls")
    if calls is not None:
        return Principal(
            name=name,
            everything=EVERY_CALL in calls,
            calls=frozenset(calls),
            scopes=scopes,
            expires_at=claims["exp"],
        )
    if user is None:
        raise BadToken("its user is unknown")
    return of_user(user, scopes, claims["exp"])


def _claims(token: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            settings.ALERT_SERVER_JWT_SECRET,
            algorithms=["HS256"],
            leeway=LEEWAY_S,
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise BadToken(str(error)) from error
    audience = claims.get("aud", AUDIENCE)
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("it is for another audience")
    if claims.get("token_type", "access") != "access":
        raise BadToken("it is no access token")
    calls = claims.get("calls", [])
    if not isinstance(calls, list) or not all(isinstance(call, str) for call in calls):
        raise BadToken("its calls are not a list of ids")
    if not claims["sub"] or not isinstance(claims.get("scope", ""), str):
        raise BadToken("its subject or scope is not text")
    return claims
