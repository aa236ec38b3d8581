"""The admin: history to read, teams to arrange. Alerts are evidence, so nothing here changes or removes one."""

from datetime import UTC, datetime

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from alerts.access import of_user, visible_alerts, visible_calls
from alerts.models import Alert, Call, MediaEndpoint, Team


def when(unix_ms: int | None) -> str:
    """A wire time as people read it, UTC to the millisecond."""
    if unix_ms is None:
        return "-"
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]


class Evidence(admin.ModelAdmin):  # type: ignore[type-arg]
    """Something that happened: shown, never edited."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(Alert)
class AlertAdmin(Evidence):
    """The history of alerts, newest first."""

    list_display = ["raised", "severity", "title", "message", "call", "channel", "actionable", "suppressed", "ended"]
    list_filter = ["severity", "type", "actionable", "suppressed"]
    search_fields = ["call__call_id__exact", "title"]
    list_select_related = ["call"]
    ordering = ["-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        return visible_alerts(of_user(request.user.get_username()))

    @admin.display(description="raised (UTC)", ordering="id")
    def raised(self, alert: Alert) -> str:
        return when(alert.timestamp)

    @admin.display(description="ended (UTC)")
    def ended(self, alert: Alert) -> str:
        return when(alert.ended_at)


@admin.register(Call)
class CallAdmin(Evidence):
    """The calls that were heard, newest first; a call may be given to a team."""

    list_display = ["call_id", "started", "ended", "active", "protocol", "team", "alert_count"]
    list_filter = ["active", "protocol", "team"]
    search_fields = ["call_id__startswith"]
    list_select_related = ["team"]
    ordering = ["-id"]
    fields = ["call_id", "team", "started", "ended", "active", "protocol", "channels", "alert_count"]
    readonly_fields = ["call_id", "started", "ended", "active", "protocol", "channels", "alert_count"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Call]:
        return visible_calls(of_user(request.user.get_username()))

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request: HttpRequest, obj: Call, form: object, change: bool) -> None:
        obj.save(update_fields=["team"])  # the writer counts on the other columns at the same time

    @admin.display(description="started (UTC)", ordering="id")
    def started(self, call: Call) -> str:
        return when(call.started_at)

    @admin.display(description="ended (UTC)")
    def ended(self, call: Call) -> str:
        return when(call.ended_at)

    @admin.display(description="alerts sent")
    def alert_count(self, call: Call) -> int:
        return call.last_seq


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who sees the same calls."""

    list_display = ["slug"]
    search_fields = ["slug"]
    filter_horizontal = ["members"]


@admin.register(MediaEndpoint)
class MediaEndpointAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Where phone systems connect to. Its secret is in the form alone."""

    list_display = ["slug", "dialect", "proof", "team"]
    list_filter = ["dialect", "team"]
    search_fields = ["slug"]
    list_select_related = ["team"]
