"""How REST knows who asks by token. Apart from the views, since Django REST framework loads it before them."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from alerts.credentials import BadToken, principal_of


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <jwt>`, by the rules of the subscribers' socket."""

    def authenticate(self, request: Request) -> tuple[Any, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return principal_of(token.strip()), token
        except BadToken as error:
            raise AuthenticationFailed("Invalid or expired JWT token") from error

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
