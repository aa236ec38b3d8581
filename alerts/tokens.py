"""REST's routes of tokens: from a password, refreshed, revoked, and changed into tickets for the socket."""

from datetime import datetime
from typing import Any

from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from alerts import credentials
from alerts.access import Credential
from alerts.api import principal_for, reader_of
from alerts.authentication import BearerAuthentication
from alerts.credentials import BadToken


class _ExactlyIssued:
    """Says when it was issued to the millisecond, so that a login right after a revocation is told from one before."""

    payload: dict[str, Any]
    current_time: datetime

    def set_iat(self, claim: str = "iat", at_time: datetime | None = None) -> None:
        self.payload[claim] = round((at_time or self.current_time).timestamp(), 3)


class _Access(_ExactlyIssued, AccessToken):
    pass


class _Login(_ExactlyIssued, RefreshToken):  # type: ignore[misc]  # the bases of simplejwt's own class
    access_token_class = _Access


class _FromPassword(TokenObtainPairSerializer):
    """Both tokens carry the id of the login, so that revoking the refresh token ends its access tokens too."""

    token_class = _Login

    @classmethod
    def get_token(cls, user: Any) -> Any:
        token = super().get_token(user)
        token["login"] = token["jti"]
        return token


class Obtain(TokenObtainPairView):
    """POST `{username, password}`: an access token and the refresh token that renews it."""

    serializer_class = _FromPassword


class _Renewed(TokenRefreshSerializer):
    """As strict as an access token: revoked ones and users who may not come in any more get none."""

    token_class = _Login

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        credentials.let_in(_refresh(attrs["refresh"]))
        return super().validate(attrs)


class Refresh(TokenRefreshView):
    """POST `{refresh}`: a new access token."""

    serializer_class = _Renewed

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        try:
            return super().post(request, *args, **kwargs)
        except BadToken as error:
            raise InvalidToken from error


class InvalidToken(exceptions.AuthenticationFailed):
    """One answer for every reason, as on the socket."""

    default_detail = "Invalid or expired JWT token"


def _refresh(token: Any) -> Credential:
    """What a refresh token says.

    Raises:
        BadToken: it is none, or not good any more.
    """
    if not isinstance(token, str):
        raise BadToken("it is not text")
    return credentials.credential_of(token, "refresh")


class Revoke(APIView):
    """POST `{refresh}`: ends that login. POST `{}`: ends the token that asks, and the login that it came from."""

    authentication_classes = [BearerAuthentication]
    permission_classes: list[Any] = []  # whoever shows a token may end it

    def post(self, request: Request) -> Response:
        ended = _shown(request)
        if not ended.ids:
            raise exceptions.ValidationError({"detail": "The token has no jti; only its user's tokens can be revoked."})
        assert ended.expires_at is not None, "every token expires"
        login_ends_by = ended.expires_at + api_settings.REFRESH_TOKEN_LIFETIME.total_seconds()
        for jti in ended.ids:
            credentials.revoke_token(jti, login_ends_by)
        return Response({})


def _shown(request: Request) -> Credential:
    """What the request wants to be ended.

    Raises:
        APIException: it shows no token, or one that is not good.
    """
    if isinstance(request.data, dict) and "refresh" in request.data:
        try:
            return _refresh(request.data["refresh"])
        except BadToken as error:
            raise InvalidToken from error
    if request.auth is None:
        raise exceptions.NotAuthenticated
    return principal_for(request).credential


class Tickets(APIView):
    """POST: a ticket that opens the socket once, for a browser's page that cannot send headers."""

    def post(self, request: Request) -> Response:
        ticket, expires_at = credentials.ticket_for(reader_of(request).credential)
        return Response({"ticket": ticket, "expiresAt": expires_at})
