"""REST: post alerts, read back alerts and calls, give calls to teams."""

import base64
import binascii
import queue
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLong
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import close_old_connections
from django.db.models import QuerySet
from rest_framework import exceptions, status
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import dispatch
from alerts.access import Principal, is_call_id, of_user, visible_alerts, visible_calls
from alerts.failures import StorageAway
from alerts.idempotency import answered_once
from alerts.models import Alert, Call, Severity, Team
from alerts.serializers import AlertSerializer, CallSerializer, PostedAlertSerializer
from alerts.writer import Report, Stored, now_ms

MAX_POSTED = 1_000
STORE_WITHIN_S = 10
Done = TypeVar("Done")


def principal_for(request: Request) -> Principal:
    """Who asks: by token, or a user of our own pages."""
    if isinstance(request.user, Principal):
        return request.user
    return of_user(request.user.get_username())


def reader_of(request: Request) -> Principal:
    """Who asks to read. Raises PermissionDenied without the scope for it."""
    principal = principal_for(request)
    if "subscribe" not in principal.scopes:
        raise exceptions.PermissionDenied
    return principal


class NewestFirst(CursorPagination):
    """Pages that cost the same however deep: ids grow with time."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "pageSize"
    max_page_size = 500

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if not re.fullmatch(r"\d{1,3}", asked, re.ASCII) or not 1 <= int(asked) <= self.max_page_size:
            raise exceptions.ValidationError({"pageSize": [f"{asked[:80]!r} is not a whole number from 1 to 500."]})
        return int(asked)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """One page; a cursor is the client's to send, so what it names may be no id at all."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError) as error:
            raise exceptions.NotFound(self.invalid_cursor_message) from error


class Alerts(ListAPIView[Alert]):
    """GET: alerts, newest first. POST: one alert or a list of them, from another engine."""

    serializer_class = AlertSerializer
    pagination_class = NewestFirst
    parameters = frozenset({"cursor", "pageSize", "callId"})

    def get_queryset(self) -> QuerySet[Alert]:
        refuse_unknown(self.request, self.parameters)
        alerts = visible_alerts(reader_of(self.request)).filter(suppressed=False)
        call_id = self.request.query_params.get("callId")
        if call_id is None:
            return alerts
        return alerts.filter(call__call_id=call_id) if is_call_id(call_id) or not call_id else alerts.none()

    def post(self, request: Request) -> Response:
        """201 once stored; a bad item stores nothing and names its index and field."""
        principal = principal_for(request)
        posted = _checked(request.data)
        _check_rights(principal, {item.get("callId", "") for item in posted})

        def make(ids: Iterator[UUID]) -> Response:
            reports = [_report(item, principal.name, id_) for item, id_ in zip(posted, ids, strict=False)]
            stored = patiently(lambda: dispatch.report(*reports, within_s=STORE_WITHIN_S))
            return Response({"results": [_result(one) for one in stored]}, status=status.HTTP_201_CREATED)

        return answered_once(request, principal.name, make)


def patiently(ask: Callable[[], Future[Done]]) -> Done:
    """What the writer has done when it is asked.

    Raises:
        StorageAway: not in time; it may still be done later.
    """
    close_old_connections()  # the writer needs one of the same pool, and this waits for the writer
    try:
        return ask().result(STORE_WITHIN_S)
    except (TooLong, queue.Full) as error:
        raise StorageAway from error


def refuse_unknown(request: Request, parameters: frozenset[str]) -> None:
    """A parameter that nobody reads is a mistake that would otherwise show too much."""
    unknown = sorted(set(request.query_params) - parameters)
    if unknown:
        raise exceptions.ValidationError({name: ["Unknown parameter."] for name in unknown})


def _checked(posted: Any) -> list[dict[str, Any]]:
    """What was posted, one or a list, as valid items.

    Raises:
        ValidationError: the first bad item's fields; of a list under the item's index.
    """
    items = posted if isinstance(posted, list) else [posted]
    if not 1 <= len(items) <= MAX_POSTED:
        raise exceptions.ValidationError({"detail": f"{len(items)} alerts; a list takes 1 to {MAX_POSTED}."})
    checked = []
    for index, item in enumerate(items):
        serializer = PostedAlertSerializer(data=item)
        if not serializer.is_valid():
            raise exceptions.ValidationError({str(index): serializer.errors} if items is posted else serializer.errors)
        checked.append(serializer.validated_data)
    return checked


def _check_rights(principal: Principal, call_ids: set[str]) -> None:
    """Hidden and unknown calls are refused in the same words."""
    if "publish" not in principal.scopes and not principal.adds_alerts:
        raise exceptions.PermissionDenied
    teams = dict(Call.objects.filter(call_id__in=call_ids).values_list("call_id", "team"))
    for call_id in call_ids:
        if not principal.sees(call_id, teams.get(call_id)):
            raise exceptions.NotFound


def _report(item: dict[str, Any], source: str, id_: UUID) -> Report:
    return Report(
        id=id_,
        type=item["type"],
        severity=Severity[item["severity"].upper()],
        title=item["title"],
        message=item["message"],
        call_id=item.get("callId", ""),
        kind=item["kind"],
        channel=item["channel"],
        data=item["data"],
        actionable=item["actionable"],
        occurred_at=item["occurredAt"],
        source=source,
        external_id=item["externalId"],
    )


def _result(stored: Stored) -> dict[str, Any]:
    return {
        "id": str(stored.id),
        "seq": stored.seq,
        "suppressed": stored.suppressed,
        "externalId": stored.external_id,
    }


class Calls(ListAPIView[Call]):
    """GET: calls, newest first; `?active=true` those in progress."""

    serializer_class = CallSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Call]:
        refuse_unknown(self.request, frozenset({"cursor", "pageSize", "active"}))
        calls = visible_calls(reader_of(self.request)).select_related("team")
        active = self.request.query_params.get("active")
        if active not in (None, "true", "false"):
            raise exceptions.ValidationError({"active": [f"{active!r} is neither true nor false."]})
        return calls if active is None else calls.filter(active=active == "true")


class OneCall(APIView):
    """GET: one call. PUT: makes it if it is not there. PATCH: gives it to a team. The last two are for staff."""

    def get(self, request: Request, key: str) -> Response:
        return Response(CallSerializer(_visible_call(reader_of(request), key)).data)

    def put(self, request: Request, key: str) -> Response:
        """201 when it was made, 200 when it was there; a team that is named becomes its team."""
        _arranger(request)
        call_id, change = _call_id(key), _call_change(request.data)
        call, made = Call.objects.get_or_create(call_id=call_id, defaults={"started_at": now_ms(), **change})
        if not made:
            _give(call, change)
        return Response(CallSerializer(call).data, status.HTTP_201_CREATED if made else status.HTTP_200_OK)

    def patch(self, request: Request, key: str) -> Response:
        call = _visible_call(_arranger(request), key)
        _give(call, _call_change(request.data))
        return Response(CallSerializer(call).data)


def _arranger(request: Request) -> Principal:
    """Who asks, if they may arrange calls; refused before anything is looked up, so that nothing is learned."""
    principal = reader_of(request)
    if not principal.arranges:
        raise exceptions.PermissionDenied
    return principal


def _call_id(key: str) -> str:
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


def _visible_call(principal: Principal, key: str) -> Call:
    """Hidden is unknown: both are not found, in the same words."""
    call = visible_calls(principal).select_related("team").filter(call_id=_call_id(key)).first()
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
