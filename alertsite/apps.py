"""The wiring application: it only brings the management commands."""

from django.apps import AppConfig


class AlertsiteConfig(AppConfig):
    name = "alertsite"
