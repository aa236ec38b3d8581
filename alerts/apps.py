"""The alerts application: alerts of calls, stored and delivered."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = "Call alerts"

    def ready(self) -> None:
        from alerts import rights  # models are there only now

        rights.count_changes()
