"""REST's routes of alerts: read and posted, one of them, acknowledged and resolved."""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLong
from typing import Any, TypeVar
from uuid import UUID

from django.db import close_old_connections
from django.db.models import QuerySet
from rest_framework import exceptions, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import dispatch, filters, findings
from alerts.access import Principal, of_user, visible_alerts
from alerts.failures import StorageAway
from alerts.idempotency import answered_once
from alerts.models import Alert, Call
from alerts.pages import PAGING, NewestAlertsFirst
from alerts.serializers import AlertSerializer, NoteSerializer, PostedAlertSerializer
from alerts.writer import Report, Stored

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


class History(ListAPIView[Alert]):
    """Alerts that somebody may see, newest first, by the filters of `alerts.filters`."""

    serializer_class = AlertSerializer
    pagination_class = NewestAlertsFirst
    parameters = PAGING | filters.PARAMETERS

    def get_queryset(self) -> QuerySet[Alert]:
        refuse_unknown(self.request, self.parameters)
        return self.asked_for(reader_of(self.request))

    def asked_for(self, principal: Principal) -> QuerySet[Alert]:
        """The alerts of all pages together."""
        return visible_alerts(principal).filter(filters.conditions(self.request.query_params, principal))


class Alerts(History):
    """GET: alerts, newest first. POST: one alert or a list of them, from another engine."""

    def post(self, request: Request) -> Response:
        """201 once stored; a bad item stores nothing and names its index and field."""
        principal = principal_for(request)
        posted = _checked(request.data)
        check_publisher(principal, {item.get("callId", "") for item in posted})

        def make(ids: Iterator[UUID]) -> Response:
            more = zip(posted, ids, strict=False)
            return created(*(findings.of_posted(item, source=principal.name, id=id_) for item, id_ in more))

        return answered_once(request, principal.name, make)


def created(*reports: Report) -> Response:
    """201 with what became of each report, once all are stored.

    Raises:
        StorageAway: not in time; it may still be done later.
    """
    stored = patiently(lambda: dispatch.report(*reports, within_s=STORE_WITHIN_S))
    return Response({"results": [_result(one) for one in stored]}, status=status.HTTP_201_CREATED)


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
        try:
            checked.append(findings.checked(PostedAlertSerializer, item))
        except exceptions.ValidationError as error:
            raise exceptions.ValidationError({str(index): error.detail} if items is posted else error.detail) from error
    return checked


def check_publisher(principal: Principal, call_ids: set[str]) -> None:
    """Whether somebody may raise alerts about these calls; hidden and unknown ones are refused in the same words.

    Raises:
        PermissionDenied: they may raise none.
        NotFound: they may not see one of the calls.
    """
    by_token = "publish" in principal.scopes and principal.credential.calls is not None
    if not by_token and not principal.adds_alerts:
        raise exceptions.PermissionDenied
    teams = dict(Call.objects.filter(call_id__in=call_ids).values_list("call_id", "team"))
    for call_id in call_ids:
        if not principal.sees(call_id, teams.get(call_id)):
            raise exceptions.NotFound


def _result(stored: Stored) -> dict[str, Any]:
    return {
        "id": str(stored.id),
        "seq": stored.seq,
        "suppressed": stored.suppressed,
        "externalId": stored.external_id,
    }


class OneAlert(APIView):
    """GET: one alert."""

    def get(self, request: Request, alert_id: UUID) -> Response:
        return Response(AlertSerializer(_visible(reader_of(request), alert_id)).data)


class Acknowledge(APIView):
    """POST `{note}`: somebody has seen an alert. Of several, one is the first, and the others learn who that was."""

    def post(self, request: Request, alert_id: UUID) -> Response:
        """200 with the alert, again for who acknowledged it before; 409 for others, with who that was."""
        principal = _acknowledger(request, alert_id)
        note = findings.checked(NoteSerializer, request.data)["note"]
        done = patiently(lambda: dispatch.acknowledge(alert_id, principal.name, note, STORE_WITHIN_S))
        if done is not None and not done.first and done.by != principal.name:
            told = {"detail": f"{done.by} has acknowledged it.", "acknowledgedBy": done.by, "acknowledgedAt": done.at}
            return Response(told, status.HTTP_409_CONFLICT)
        return Response(AlertSerializer(_visible(principal, alert_id)).data)


class Resolve(APIView):
    """POST: an alert has ended, if it had not; who says so has acknowledged it too, unless somebody had."""

    def post(self, request: Request, alert_id: UUID) -> Response:
        principal = _acknowledger(request, alert_id)
        patiently(lambda: dispatch.resolve(alert_id, principal.name, STORE_WITHIN_S))
        return Response(AlertSerializer(_visible(principal, alert_id)).data)


def _acknowledger(request: Request, alert_id: UUID) -> Principal:
    """Who asks, if they may acknowledge this alert.

    Raises:
        PermissionDenied: they may acknowledge none.
        NotFound: they may not see it, or there is no such alert.
    """
    principal = principal_for(request)
    if "acknowledge" not in principal.scopes:
        raise exceptions.PermissionDenied
    _visible(principal, alert_id)
    return principal


def _visible(principal: Principal, alert_id: UUID) -> Alert:
    """Hidden is unknown: both are not found, in the same words."""
    alert = visible_alerts(principal).filter(pk=alert_id).first()
    if alert is None:
        raise exceptions.NotFound
    return alert
