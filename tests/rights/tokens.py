"""Tokens with any claims, as another issuer with the secret would make them."""

import os
import time
from typing import Any

import jwt


def forged(**claims: Any) -> str:
    """A token that sees every call for ten minutes, but for the claims given; None leaves one out."""
    secret = claims.pop("secret", os.environ["ALERT_SERVER_JWT_SECRET"])
    claims = {"sub": "watcher", "calls": ["*"], "exp": int(time.time()) + 600} | claims
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm="HS256")
