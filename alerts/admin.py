"""The admin: history to read, teams to arrange. Alerts are evidence: they are seen to and resolved, never edited."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import HttpRequest

from alerts import dispatch
from alerts.access import of_user, visible_alerts, visible_calls
from alerts.models import Alert, Call, MediaEndpoint, Team
from alerts.writer import now_ms

PAGED = 10_000  # rows that one leafs through; what is older is found by filters and search
CHANGED_AT_ONCE = 500
CHANGED_WITHIN_S = 10
HOUR_MS = 3600 * 1000


def when(unix_ms: int | None) -> str:
    """A wire time as people read it, UTC to the millisecond."""
    if unix_ms is None:
        return "-"
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]


class FirstPages(Paginator):  # type: ignore[type-arg]
    """Counts no further than anybody leafs: counting a million rows takes longer than reading a page of them."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """How many rows there are, `PAGED` at most."""
        return self.object_list.order_by().values("pk")[:PAGED].count()


class Evidence(admin.ModelAdmin):  # type: ignore[type-arg]
    """Something that happened: shown, never edited."""

    paginator = FirstPages
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count the table

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


class Raised(admin.SimpleListFilter):
    """By when an alert was raised."""

    title = "raised"
    parameter_name = "raised"
    spans = {"hour": 1, "day": 24, "week": 7 * 24, "month": 30 * 24}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"in the last {name}") for name in self.spans]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        hours = self.spans.get(self.value() or "")
        return queryset if hours is None else queryset.filter(timestamp__gte=now_ms() - hours * HOUR_MS)


class SeenTo(admin.SimpleListFilter):
    """By whether somebody has acknowledged an alert."""

    title = "acknowledged"
    parameter_name = "acknowledged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        known = self.value() in ("yes", "no")
        return queryset.filter(acknowledged_at__isnull=self.value() == "no") if known else queryset


@admin.register(Alert)
class AlertAdmin(Evidence):
    """The history of alerts, newest first."""

    list_display = [
        *("raised", "severity", "title", "message", "call", "channel"),
        *("actionable", "acknowledged_by", "suppressed", "ended"),
    ]
    list_filter = [Raised, "severity", "type", "actionable", SeenTo, "suppressed"]
    search_fields = ["title"]
    search_help_text = "The id of a call or of an alert, or a part of a title"
    list_select_related = ["call"]
    ordering = ["-timestamp", "-id"]
    actions = ["acknowledge", "resolve"]
    fieldsets = [
        (None, {"fields": ["severity", "title", "message", "call", "channel", "type", "kind", "actionable"]}),
        ("Times", {"fields": ["raised", "occurred", "ended", "stored"]}),
        ("Seen to", {"fields": ["acknowledged", "acknowledged_by", "note"]}),
        ("Evidence", {"fields": ["data", "source", "external_id", "id"]}),
        (
            "How it was sent",
            {"fields": ["seq", "suppressed", "suppressed_count", "repeat_of", "correlation_id", "version"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        return visible_alerts(of_user(request.user.get_username()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Alert], search_term: str
    ) -> tuple[QuerySet[Alert], bool]:
        """An id finds by an index; only what is none is looked for in titles."""
        call = visible_calls(of_user(request.user.get_username())).filter(call_id=search_term.strip()).first()
        if call is not None:
            return queryset.filter(call=call), False
        try:
            return queryset.filter(pk=UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.action(description="Acknowledge", permissions=["view"])
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Alert]) -> None:
        self._each(request, chosen, "acknowledged", dispatch.acknowledge)

    @admin.action(description="Resolve: it is over", permissions=["view"])
    def resolve(self, request: HttpRequest, chosen: QuerySet[Alert]) -> None:
        self._each(request, chosen, "resolved", dispatch.resolve)

    def _each(
        self, request: HttpRequest, chosen: QuerySet[Alert], done: str, change: Callable[[UUID, str], Future[Any]]
    ) -> None:
        """Has the writer change them, and tells how many that were."""
        ids = list(chosen.order_by().values_list("pk", flat=True)[: CHANGED_AT_ONCE + 1])
        if len(ids) > CHANGED_AT_ONCE:
            self.message_user(request, f"Choose {CHANGED_AT_ONCE} alerts at most.", messages.ERROR)
            return
        close_old_connections()  # the writer needs one of the same pool, and this waits for the writer
        changes = [change(id_, request.user.get_username()) for id_ in ids]
        in_time, late = wait(changes, CHANGED_WITHIN_S)
        first = sum(outcome.first for one in in_time if (outcome := one.result()) is not None)
        self.message_user(request, f"{first} {done}; {len(in_time) - first} had been before.", messages.SUCCESS)
        if late:
            self.message_user(request, f"{len(late)} wait for the database.", messages.WARNING)

    @admin.display(description="raised (UTC)", ordering="timestamp")
    def raised(self, alert: Alert) -> str:
        return when(alert.timestamp)

    @admin.display(description="occurred (UTC)")
    def occurred(self, alert: Alert) -> str:
        return when(alert.occurred_at)

    @admin.display(description="ended (UTC)")
    def ended(self, alert: Alert) -> str:
        return when(alert.ended_at)

    @admin.display(description="stored (UTC)")
    def stored(self, alert: Alert) -> str:
        return when(alert.stored_at)

    @admin.display(description="acknowledged (UTC)")
    def acknowledged(self, alert: Alert) -> str:
        return when(alert.acknowledged_at)


@admin.register(Call)
class CallAdmin(Evidence):
    """The calls that were heard, newest first; a call may be given to a team."""

    list_display = ["call_id", "started", "ended", "active", "protocol", "team", "alert_count"]
    list_filter = ["active", "team"]
    search_fields = ["call_id__startswith"]
    search_help_text = "The beginning of a call's id"
    list_select_related = ["team"]
    ordering = ["-id"]
    readonly_fields = ["call_id", "started", "ended", "active", "protocol", "channels", "mos_score", "alert_count"]
    fields = ["team", *readonly_fields]

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
