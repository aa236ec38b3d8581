"""Pages of the history: how the database reads them, and rows that share their time."""

import uuid

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from alerts import filters
from alerts.access import FEW_CALLS, Credential, Principal, visible_alerts
from alerts.models import Alert, Call, Team
from alerts.pages import NewestAlertsFirst, Place


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.integers(0, 3), max_size=12), size=st.integers(1, 5))
def test_alerts_of_one_millisecond_come_once_each(times: list[int], size: int) -> None:
    call = Call.objects.create(call_id=uuid.uuid4().hex, started_at=0)
    Alert.objects.bulk_create(
        Alert(call=call, seq=seq, type="anomaly", severity=0, timestamp=at, stored_at=0, correlation_id=uuid.uuid4())
        for seq, at in enumerate(times, 1)
    )
    alerts, cursor, seen = Alert.objects.filter(call=call), "", []
    while True:
        pages = NewestAlertsFirst()
        request = Request(APIRequestFactory().get(f"http://localhost/?pageSize={size}{cursor}"))
        seen += pages.paginate_queryset(alerts, request)
        address = pages.get_paginated_response([]).data["next"]
        if address is None:
            break
        cursor = "&cursor=" + QueryDict(address.partition("?")[2])["cursor"]
    assert seen == sorted(alerts, key=lambda alert: (alert.timestamp, alert.id), reverse=True)


STAR = Principal(Credential("star", frozenset("*")), everything=True)
DEEP = f"cursor={Place(False, (5, uuid.UUID(int=1)))}"
FLAT = [
    "",
    "suppressed=any",
    "type=anomaly",
    "type=anomaly,call_event",
    "kind=echo",
    "kind=echo,mos",
    "severity=critical",
    "minSeverity=medium",
    "actionable=true&acknowledged=false",
    "acknowledged=true",
    "since=1&until=9",
]


@pytest.mark.django_db
@pytest.mark.parametrize("query", [f"{query}&{place}" for query in FLAT for place in ("", DEEP)])
@pytest.mark.parametrize("who", ["star", "a team of many calls"])
def test_a_page_is_read_from_an_index_in_its_order_and_nothing_is_sorted(who: str, query: str) -> None:
    principal = STAR if who == "star" else a_team_of_many_calls()
    request = Request(APIRequestFactory().get(f"/?{query}"))
    alerts = visible_alerts(principal).filter(filters.conditions(request.query_params, principal))
    pages = NewestAlertsFirst()
    plan = pages._beyond(alerts, pages._place(request)).order_by("-timestamp", "-id")[:51].explain()
    assert "TEMP B-TREE" not in plan, plan
    assert "alerts_alert USING INDEX alert_" in plan, plan


def a_team_of_many_calls() -> Principal:
    team = Team.objects.create(slug="many")
    Call.objects.bulk_create(Call(call_id=str(number), started_at=0, team=team) for number in range(FEW_CALLS + 1))
    return Principal(Credential("mate"), teams=frozenset({team.pk}))
