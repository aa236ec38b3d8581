"""Where REST and the pages are found."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from alerts import api, views

urlpatterns = [
    path("", views.live, name="live"),
    path("login/", LoginView.as_view(template_name="alerts/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/token/", TokenObtainPairView.as_view()),
    path("api/v1/token/refresh/", TokenRefreshView.as_view()),
    path("api/v1/alerts/", api.Alerts.as_view()),
    path("api/v1/calls/", api.Calls.as_view()),
]
