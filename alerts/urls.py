"""Where REST and the pages are found."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from alerts import api, calls, posts, stats, tokens, told_api, views

urlpatterns = [
    path("", views.live, name="live"),
    path("login/", LoginView.as_view(template_name="alerts/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/token/", tokens.Obtain.as_view()),
    path("api/v1/token/refresh/", tokens.Refresh.as_view()),
    path("api/v1/token/revoke/", tokens.Revoke.as_view()),
    path("api/v1/ws-tickets/", tokens.Tickets.as_view()),
    path("api/v1/alerts/", api.Alerts.as_view()),
    path("api/v1/alerts/<uuid:alert_id>/", api.OneAlert.as_view()),
    path("api/v1/alerts/<uuid:alert_id>/acknowledge/", api.Acknowledge.as_view()),
    path("api/v1/alerts/<uuid:alert_id>/resolve/", api.Resolve.as_view()),
    path("api/v1/calls/", calls.Calls.as_view()),
    path("api/v1/calls/<str:key>/", calls.OneCall.as_view()),
    path("api/v1/calls/<str:key>/alerts/", calls.AlertsOfCall.as_view()),
    path("api/v1/calls/<str:key>/findings/", posts.Findings.as_view()),
    path("api/v1/calls/<str:key>/summary/", posts.Summary.as_view()),
    path("api/v1/calls/<str:key>/transcript/", told_api.Transcript.as_view()),
    path("api/v1/calls/<str:key>/network/", told_api.Network.as_view()),
    path("api/v1/stats/", stats.Stats.as_view()),
]
