"""REST's routes of calls: which there are, one of them and its alerts, made and given to teams by staff."""

import base64
import binascii
import re
from typing import Any

from django.db.models import QuerySet
from rest_framework import exceptions, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.access import Principal, is_call_id, visible_calls
from alerts.api import History, reader_of, refuse_unknown
from alerts.models import Alert, Call, Team
from alerts.pages import PAGING, NewestFirst
from alerts.serializers import CallSerializer
from alerts.writer import now_ms


class Calls(ListAPIView[Call]):
    """GET: calls, newest first; `?active=true` those in progress."""

    serializer_class = CallSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Call]:
        refuse_unknown(self.request, PAGING | {"active"})
        calls = visible_calls(reader_of(self.request)).select_related("team")
        active = self.request.query_params.get("active")
        if active not in (None, "true", "false"):
            raise exceptions.ValidationError({"active": [f"{active[:80]!r} is neither true nor false."]})
        return calls if active is None else calls.filter(active=active == "true")


class OneCall(APIView):
    """GET: one call. PUT: makes it if it is not there. PATCH: gives it to a team. The last two are for staff."""

    def get(self, request: Request, key: str) -> Response:
        return Response(CallSerializer(visible_call(reader_of(request), key)).data)

    def put(self, request: Request, key: str) -> Response:
        """201 when it was made, 200 when it was there; a team that is named becomes its team."""
        _arranger(request)
        call_id, change = call_id_of(key), _call_change(request.data)
        call, made = Call.objects.get_or_create(call_id=call_id, defaults={"started_at": now_ms(), **change})
        if not made:
            _give(call, change)
        return Response(CallSerializer(call).data, status.HTTP_201_CREATED if made else status.HTTP_200_OK)

    def patch(self, request: Request, key: str) -> Response:
        call = visible_call(_arranger(request), key)
        _give(call, _call_change(request.data))
        return Response(CallSerializer(call).data)


class AlertsOfCall(History):
    """GET: a call's alerts, newest first, by the same filters."""

    parameters = History.parameters - {"callId"}

    def asked_for(self, principal: Principal) -> QuerySet[Alert]:
        call = visible_call(principal, self.kwargs["key"])
        return super().asked_for(principal).filter(call=call)


def _arranger(request: Request) -> Principal:
    """Who asks, if they may arrange calls; refused before anything is looked up, so that nothing is learned."""
    principal = reader_of(request)
    if not principal.arranges:
        raise exceptions.PermissionDenied
    return principal


def call_id_of(key: str) -> str:
    """The call id that a part of a path stands for: itself, or `~` and base64url of any other.

    Raises:
        NotFound: it stands for none.
    """
    call_id = key
    if key.startswith("~"):
        try:
            padded = key[1:].encode() + b"=" * (-len(key[1:]) % 4)
            call_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise exceptions.NotFound from error
    elif not re.fullmatch(r"[A-Za-z0-9._:@+-]+", key):
        raise exceptions.NotFound
    if not is_call_id(call_id):
        raise exceptions.NotFound
    return call_id


def visible_call(principal: Principal, key: str) -> Call:
    """Hidden is unknown: both are not found, in the same words."""
    call = visible_calls(principal).select_related("team").filter(call_id=call_id_of(key)).first()
    if call is None:
        raise exceptions.NotFound
    return call


def _call_change(posted: Any) -> dict[str, Team | None]:
    """The team that is asked for, if one is.

    Raises:
        ValidationError: another field, or a team that there is not.
    """
    if not isinstance(posted, dict):
        raise exceptions.ValidationError({"detail": f"Expected an object, got {type(posted).__name__}."})
    unknown = sorted(set(posted) - {"team"})
    if unknown:
        raise exceptions.ValidationError({name: ["Unknown field."] for name in unknown})
    if "team" not in posted or posted["team"] is None:
        return dict(posted)
    team = None
    if isinstance(posted["team"], str) and "\0" not in posted["team"]:
        team = Team.objects.filter(slug=posted["team"]).first()
    if team is None:
        raise exceptions.ValidationError({"team": [f"There is no team {str(posted['team'])[:80]!r}."]})
    return {"team": team}


def _give(call: Call, change: dict[str, Team | None]) -> None:
    if "team" in change:
        call.team = change["team"]
        call.save(update_fields=["team"])  # the writer counts on the other columns at the same time
