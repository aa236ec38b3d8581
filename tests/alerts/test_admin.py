"""The admin's history on the real server: found by ids, filters and words; seen to and resolved, never edited."""

import uuid
from typing import Any

import pytest

from alerts import admin
from alerts.models import Call
from tests.live import LiveServer, an_alert, watcher_token
from tests.rights.people import Browser

ALERTS = "/admin/alerts/alert/"


@pytest.fixture(scope="module")
def staff(server: LiveServer) -> Browser:
    browser = Browser(server)
    assert browser.sign_in("staff")
    return browser


@pytest.fixture
def alerts(server: LiveServer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two alerts of a call of their own, a low and a critical one, told apart by their titles."""
    call_id = f"admin-{uuid.uuid4().hex}"
    low, critical = an_alert(call_id, kind="a"), an_alert(call_id, kind="b", severity="critical", actionable=True)
    told = [one | {"title": uuid.uuid4().hex} for one in (low, critical)]
    stored = server.post(*told)
    return told[0] | stored[0], told[1] | stored[1]


def shown(browser: Browser, query: str, *alerts: dict[str, Any]) -> list[bool]:
    status, html = browser.get(f"{ALERTS}?{query}")
    assert status == 200, html
    return [alert["id"] in html for alert in alerts]


def test_the_history_is_searched_by_call_by_id_and_by_title(staff: Browser, alerts: Any) -> None:
    low, critical = alerts
    assert shown(staff, f"q={low['callId']}", *alerts) == [True, True]
    assert shown(staff, f"q={low['id']}", *alerts) == [True, False]
    assert shown(staff, f"q={critical['title'][4:20].upper()}", *alerts) == [False, True]
    assert shown(staff, "q=nothing+of+the+kind", *alerts) == [False, False]


@pytest.mark.parametrize(
    ("query", "low", "critical"),
    [
        ("severity__exact=4", False, True),
        ("actionable__exact=0", True, False),
        ("type__exact=call_event", True, True),
        ("raised=hour", True, True),
        ("raised=nonsense", True, True),
        ("acknowledged=yes", False, False),
        ("acknowledged=no", True, True),
        ("suppressed__exact=1", False, False),
    ],
)
def test_every_filter_shows_what_it_says(staff: Browser, alerts: Any, query: str, low: bool, critical: bool) -> None:
    assert shown(staff, f"q={alerts[0]['callId']}&{query}", *alerts) == [low, critical]


@pytest.mark.parametrize(("action", "done"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_staff_see_to_alerts_and_resolve_them(
    server: LiveServer, staff: Browser, alerts: Any, action: str, done: str
) -> None:
    low, critical = alerts
    form = {"action": action, "_selected_action": low["id"]}
    assert staff.post(ALERTS, form)[0] == 302
    assert f"1 {done}; 0 had been before." in staff.get(ALERTS)[1]
    one, other = (
        server.call("GET", f"/api/v1/alerts/{alert['id']}/", token=watcher_token())[1] for alert in (low, critical)
    )
    assert one["acknowledgedBy"] == "staff"
    assert (one["endedAt"] is not None) == (action == "resolve")
    assert other["acknowledgedBy"] is None


def test_evidence_is_shown_and_cannot_be_edited(server: LiveServer, staff: Browser, alerts: Any) -> None:
    page = f"{ALERTS}{alerts[0]['id']}/change/"
    status, html = staff.get(page)
    assert status == 200
    assert alerts[0]["title"] in html
    assert 'name="title"' not in html
    superuser = Browser(server)
    assert superuser.sign_in("admin")
    for browser in (staff, superuser):
        assert browser.post(page, {"title": "another"})[0] == 403
        assert browser.get(f"{ALERTS}add/")[0] == 403
        assert browser.get(f"{ALERTS}{alerts[0]['id']}/delete/")[0] == 403


@pytest.mark.django_db
def test_rows_are_counted_no_further_than_anybody_leafs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "PAGED", 10)
    Call.objects.bulk_create(Call(call_id=str(number), started_at=0) for number in range(12))
    pages = admin.FirstPages(Call.objects.order_by("-id"), 4)
    assert (pages.count, pages.num_pages) == (10, 3)
    assert [call.call_id for call in pages.page(1)] == ["11", "10", "9", "8"]
