"""The live page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from alerts.access import of_user, visible_alerts
from alerts.serializers import AlertSerializer
from alerts.writer import now_ms

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
    """Calls in progress and alerts as they come; the newest are in the page from the start: it resumes from there."""
    as_of = now_ms()
    recent = visible_alerts(of_user(request.user.get_username())).filter(suppressed=False)
    shown = [AlertSerializer(alert).data for alert in recent.order_by("-timestamp", "-id")[:SHOWN_AT_FIRST]]
    response = render(request, "alerts/live.html", {"as_of": as_of, "recent_alerts": shown})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
