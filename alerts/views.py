"""The live page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from alerts.access import of_user, visible_alerts
from alerts.serializers import AlertSerializer

SHOWN_AT_FIRST = 50
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)


@login_required
def live(request: HttpRequest) -> HttpResponse:
    """Calls in progress and alerts as they come; the newest alerts are in the page from the start."""
    recent = visible_alerts(of_user(request.user.get_username())).filter(suppressed=False)
    recent = recent.exclude(type__in=("connection", "disconnection")).order_by("-id")[:SHOWN_AT_FIRST]
    response = render(request, "alerts/live.html", {"recent_alerts": [AlertSerializer(alert).data for alert in recent]})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
