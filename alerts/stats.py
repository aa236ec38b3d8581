"""REST's numbers: how many subscribers there are, and how many calls are in progress."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.access import visible_calls
from alerts.api import reader_of, refuse_unknown
from alerts.attendance import subscriber_count


class Stats(APIView):
    """GET: the subscribers of all processes, and the calls in progress that who asks may see."""

    def get(self, request: Request) -> Response:
        refuse_unknown(request, frozenset())
        in_progress = visible_calls(reader_of(request)).filter(active=True)
        return Response({"subscribers": subscriber_count(), "activeCalls": in_progress.count()})
