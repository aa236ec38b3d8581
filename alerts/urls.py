"""Where REST and the pages are found."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from alerts import api, tokens, views

urlpatterns = [
    path("", views.live, name="live"),
    path("login/", LoginView.as_view(template_name="alerts/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/token/", tokens.Obtain.as_view()),
    path("api/v1/token/refresh/", tokens.Refresh.as_view()),
    path("api/v1/token/revoke/", tokens.Revoke.as_view()),
    path("api/v1/ws-tickets/", tokens.Tickets.as_view()),
    path("api/v1/alerts/", api.Alerts.as_view()),
    path("api/v1/calls/", api.Calls.as_view()),
    path("api/v1/calls/<str:key>/", api.OneCall.as_view()),
]
