"""The live page in Chromium: an alert is understood, acknowledged, and still right after the connection was lost."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Route, WebSocketRoute, expect

from alerts.credentials import mint
from tests.live import PASSWORD, LiveServer, an_alert
from tests.rights.people import change


class Line:
    """The page's WebSocket, which a test can cut and mend."""

    def __init__(self) -> None:
        self.up = True
        self.muted = False
        self._open: list[tuple[WebSocketRoute, WebSocketRoute]] = []

    async def route(self, page_side: WebSocketRoute) -> None:
        if not self.up:
            await page_side.close(code=1001, reason="cut")
            return
        server_side = page_side.connect_to_server()
        server_side.on_message(lambda frame: None if self.muted else page_side.send(frame))
        self._open.append((page_side, server_side))

    async def cut(self) -> None:
        self.up = False
        for page_side, server_side in self._open:
            await page_side.close(code=1001, reason="cut")
            await server_side.close()
        self._open.clear()


class Visitor:
    """Somebody with the live page open; breaking the page's security policy, or any error, is remembered."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.line = Line()
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, told: ConsoleMessage) -> None:
        asks_for_an_icon = "/favicon.ico" in told.location["url"]  # Chromium's own idea
        if told.type == "error" and not asks_for_an_icon:
            self.complaints.append(told.text)

    async def sign_in(self, server: LiveServer, name: str) -> None:
        await self.page.route_web_socket(re.compile("/ws/alerts"), self.line.route)
        await self.page.goto(server.url("/login/"))
        await self.page.fill("input[name=username]", name)
        await self.page.fill("input[name=password]", PASSWORD)
        await self.page.click("button[type=submit]")
        await self.is_live()

    async def is_live(self) -> None:
        await expect(self.page.locator("#connection")).to_have_attribute("data-state", "live", timeout=60_000)

    def row(self, alert: dict[str, Any]) -> Locator:
        return self.page.locator(f"#alerts li[data-alert-id='{alert['id']}']")


Open = Any


@pytest.fixture
async def visit(server: LiveServer, browser: Browser) -> AsyncIterator[Open]:
    """Opens the page for a user, with cookies of their own; in the end nothing may have been complained about."""
    visitors: list[Visitor] = []

    async def visit(name: str = "admin") -> Visitor:
        visitor = Visitor(await (await browser.new_context()).new_page())
        visitors.append(visitor)
        await visitor.sign_in(server, name)
        return visitor

    yield visit
    assert [visitor.complaints for visitor in visitors] == [[] for _ in visitors]


async def posted(server: LiveServer, **more: Any) -> dict[str, Any]:
    """An alert about a call of its own, so that no other is like it."""
    [alert] = await asyncio.to_thread(server.post, an_alert(**{"call_id": f"page-{uuid.uuid4().hex[:8]}"} | more))
    return alert


async def done(server: LiveServer, alert: dict[str, Any], what: str, name: str = "colleague") -> None:
    token = mint(name, 600, ["acknowledge"], ["*"])
    path = f"/api/v1/alerts/{alert['id']}/{what}/"
    status, answer = await asyncio.to_thread(server.call, "POST", path, {}, token)
    assert status == 200, answer


async def test_an_alert_says_what_it_means_and_is_acknowledged_by_keyboard_with_a_note(
    server: LiveServer, visit: Open
) -> None:
    ann = await visit()
    alert = await posted(server, kind="echo", type="anomaly", severity="high", title="Echo Detected", actionable=True)
    row = ann.row(alert)
    await expect(row).to_contain_text("The other party hears their own voice come back.", timeout=30_000)
    await expect(row).to_contain_text("Needs action")
    await expect(row.locator(".age")).to_have_text(re.compile(r"^\d+ s ago$"))
    await row.get_by_role("button", name="Acknowledge, Echo Detected").focus()
    await ann.page.keyboard.press("Enter")
    await ann.page.keyboard.type("calling the customer back")
    await ann.page.keyboard.press("Enter")
    await expect(row.locator(".seen")).to_contain_text("Acknowledged by admin at", timeout=30_000)
    await expect(row.locator(".note")).to_contain_text("calling the customer back")
    await expect(row.locator(".action")).to_be_hidden()
    await expect(row.get_by_role("button")).to_have_text(["Resolve"])
    await expect(row).to_be_focused()
    await expect(ann.page.locator("#announcer")).to_contain_text("Echo Detected: Acknowledged by admin")
    stored = await asyncio.to_thread(server.call, "GET", f"/api/v1/alerts/{alert['id']}/", None, mint("admin", 60))
    assert (stored[1]["acknowledgedBy"], stored[1]["note"]) == ("admin", "calling the customer back")
    await ann.page.get_by_label("Hide acknowledged").check()
    await expect(row).to_be_hidden()


async def test_an_alert_is_resolved_by_keyboard_and_is_acknowledged_with_it(server: LiveServer, visit: Open) -> None:
    ann = await visit()
    alert = await posted(server, kind="echo", type="anomaly", title="Echo Detected")
    row = ann.row(alert)
    await expect(row.get_by_role("button")).to_have_text(["Acknowledge", "Resolve"], timeout=30_000)
    await expect(row.locator(".lasted")).to_be_hidden()
    await row.get_by_role("button", name=re.compile("^Resolve, Echo Detected, page-")).focus()
    await ann.page.keyboard.press("Enter")
    await expect(row.locator(".lasted")).to_have_text(re.compile(r"^\d+\.\d s$"), timeout=30_000)
    await expect(row.locator(".seen")).to_contain_text("Acknowledged by admin at")
    await expect(row.get_by_role("button")).to_have_count(0)
    await expect(row).to_be_focused()
    await expect(ann.page.locator("#announcer")).to_contain_text("Echo Detected: resolved")
    stored = await asyncio.to_thread(server.call, "GET", f"/api/v1/alerts/{alert['id']}/", None, mint("admin", 60))
    assert (stored[1]["acknowledgedBy"], stored[1]["endedAt"] is not None) == ("admin", True)


async def test_escape_leaves_an_alert_as_it_was(server: LiveServer, visit: Open) -> None:
    ann = await visit()
    row = ann.row(await posted(server))
    button = row.get_by_role("button", name=re.compile("^Acknowledge"))
    await button.click(timeout=30_000)
    await expect(row.get_by_label("Note")).to_be_focused()
    await ann.page.keyboard.press("Escape")
    await expect(button).to_be_focused()
    await expect(row.locator("form")).to_be_hidden()


async def test_who_comes_second_sees_who_was_first(server: LiveServer, visit: Open) -> None:
    ann = await visit()
    alert = await posted(server)
    row = ann.row(alert)
    await row.get_by_role("button").first.click(timeout=30_000)
    ann.line.muted = True  # what others do does not reach this page
    await done(server, alert, "acknowledge")
    await row.get_by_role("button", name="Acknowledge", exact=True).click()
    await expect(row.locator(".seen")).to_contain_text("Acknowledged by colleague at", timeout=30_000)
    assert ann.complaints == ["Failed to load resource: the server responded with a status of 409 (Conflict)"]
    ann.complaints.clear()


async def test_what_cannot_be_acknowledged_now_can_be_again(server: LiveServer, visit: Open) -> None:
    ann = await visit()
    alert = await posted(server)
    row = ann.row(alert)
    await row.get_by_role("button").first.click(timeout=30_000)

    async def away(route: Route) -> None:
        await route.fulfill(status=503, body=json.dumps({"detail": "The database is away."}))

    await ann.page.route("**/acknowledge/", away)
    await row.get_by_role("button", name="Acknowledge", exact=True).click()
    await expect(row.get_by_role("alert")).to_have_text("It could not be acknowledged. Try again.", timeout=30_000)
    await ann.page.unroute("**/acknowledge/")
    await row.get_by_role("button", name="Acknowledge", exact=True).click()
    await expect(row.locator(".seen")).to_contain_text("Acknowledged by admin", timeout=30_000)
    assert [complaint for complaint in ann.complaints if "503" not in complaint] == []
    ann.complaints.clear()


async def test_what_was_missed_comes_once_when_the_connection_is_back(server: LiveServer, visit: Open) -> None:
    many = [an_alert("before", kind=uuid.uuid4().hex) for _ in range(60)]  # more than the page begins with
    await asyncio.to_thread(server.post, *many)
    ann = await visit()
    before = await posted(server)
    await expect(ann.row(before)).to_have_count(1, timeout=30_000)
    await ann.line.cut()
    await expect(ann.page.locator("#connection")).to_contain_text("Reconnecting", timeout=30_000)
    away = [await posted(server) for _ in range(3)]
    for alert in away:
        await expect(ann.row(alert)).to_have_count(0)
    ann.line.up = True
    await ann.is_live()
    await expect(ann.page.locator("#missed")).to_have_text("While you were away 3 alerts came.", timeout=30_000)
    later = await posted(server)
    await expect(ann.row(later)).to_have_count(1, timeout=30_000)
    for alert in [before, *away]:
        await expect(ann.row(alert)).to_have_count(1)
    for alert in away:
        await expect(ann.row(alert)).to_contain_text("While you were away")
    await expect(ann.row(later).locator(".away")).to_be_hidden()


async def test_what_others_do_shows_in_place_at_once_or_when_the_connection_is_back(
    server: LiveServer, visit: Open
) -> None:
    ann = await visit()
    live, away = await posted(server), await posted(server)
    await expect(ann.row(away)).to_have_count(1, timeout=30_000)
    await done(server, live, "acknowledge")
    await expect(ann.row(live).locator(".seen")).to_contain_text("Acknowledged by colleague", timeout=30_000)
    await ann.line.cut()
    await done(server, away, "resolve")
    ann.line.up = True
    await expect(ann.row(away).locator(".seen")).to_contain_text("Acknowledged by colleague", timeout=60_000)
    await expect(ann.row(away).locator(".lasted")).to_have_text(re.compile(r"^\d+\.\d s$"))
    await expect(ann.page.locator("#missed")).to_be_hidden()


async def test_each_sees_the_alerts_of_their_own_calls(server: LiveServer, visit: Open) -> None:
    mate = await visit("mate")
    blue = await posted(server, call_id="blue-call", kind=uuid.uuid4().hex)
    red = await posted(server, call_id="red-call", kind=uuid.uuid4().hex)
    await expect(mate.row(red)).to_have_count(1, timeout=30_000)
    await expect(mate.row(blue)).to_have_count(0)
    await mate.row(red).get_by_role("button").first.click()
    await mate.page.keyboard.press("Enter")
    await expect(mate.row(red).locator(".seen")).to_contain_text("Acknowledged by mate", timeout=30_000)


async def test_more_calls_than_a_page_of_rest_has_are_all_shown(server: LiveServer, visit: Open) -> None:
    many = "Call.objects.filter(call_id__startswith='many-')"
    made = "Call.objects.bulk_create([Call(call_id=f'many-{n}', started_at=0, active=True) for n in range(60)])"
    await asyncio.to_thread(change, server, made)
    try:
        ann = await visit()
        await expect(ann.page.locator("#calls li[data-call-id^=many-]")).to_have_count(60, timeout=30_000)
    finally:
        await asyncio.to_thread(change, server, f"{many}.update(active=False)")
