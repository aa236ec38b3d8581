"""REST's routes for engines elsewhere: what they found in a call, and its summary."""

from collections.abc import Iterator
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import dispatch, findings
from alerts.access import Principal
from alerts.api import check_publisher, created, principal_for
from alerts.calls import call_id_of
from alerts.idempotency import answered_once


class Findings(APIView):
    """POST: events, anomalies and a result of a call; 201 once their alerts are stored. One bad record: none is."""

    def post(self, request: Request, key: str) -> Response:
        principal = principal_for(request)
        call_id = _reported_about(principal, key)
        found = findings.found(request.data)

        def make(ids: Iterator[UUID]) -> Response:
            answer = created(*found.reports(call_id, principal.name, ids))
            if found.result:
                dispatch.note_mos(call_id, found.result["callQuality"]["mosScore"])
            return answer

        return answered_once(request, principal.name, make)


class Summary(APIView):
    """POST: the summary of a call; 201 once its alert is stored."""

    def post(self, request: Request, key: str) -> Response:
        principal = principal_for(request)
        call_id = _reported_about(principal, key)
        summary = findings.checked(findings.SummaryRecord, request.data)["summary"]

        def make(ids: Iterator[UUID]) -> Response:
            return created(findings.of_summary(call_id, summary, source=principal.name, id=next(ids)))

        return answered_once(request, principal.name, make)


def _reported_about(principal: Principal, key: str) -> str:
    """The call that a path names, if somebody may report about it.

    Raises:
        PermissionDenied: they may report about none.
        NotFound: the call is none, hidden, or unknown to them.
    """
    call_id = call_id_of(key)
    check_publisher(principal, {call_id})
    return call_id
