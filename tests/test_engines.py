"""Engines of others, bound to calls: what they find, what becomes of those that fail, and who is let go when."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from alerts import dispatch
from alerts.models import Alert, Call
from alertsite import engines, hearing
from alertsite.engines import Engines
from analysis import CallAnalyzer, Finding
from analysis.audio import Encoding
from analysis.findings import CallEvent, State
from analysis.ingest.events import Start
from tests.analysis.voices import call

OVERLAP = {"type": "overlap", "channel": "all", "timestamp": 900, "duration": 1000, "severity": "medium"}
ECHO = {
    "type": "echo",
    "severity": "high",
    "confidence": 0.9,
    "description": "The agent hears themselves.",
    "recommendation": "Use a headset.",
}
RESULT = {
    "callQuality": {"mosScore": 2.4},
    "sentiment": {"sentiment": "negative", "confidence": 0.85},
}


class Emitter:
    """An engine as others write them."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[..., None]]] = {}
        self.destroyed = 0

    def on(self, name: str, callback: Callable[..., None]) -> None:
        self._callbacks.setdefault(name, []).append(callback)

    def emit(self, name: str, *found: Any) -> None:
        for callback in self._callbacks[name]:
            callback(*found)

    def destroy(self) -> None:
        self.destroyed += 1


@pytest.fixture
def site(transactional_db: None) -> Iterator[Engines]:
    """The engines of a process of its own."""
    made = Engines(is_heard=lambda call_id: False)
    yield made
    made.stop()
    dispatch.close(10)
    connections.close_all()


def alerts(call_id: str = "c") -> list[Alert]:
    """All that was reported about a call so far, in order."""
    dispatch.report().result(10)
    return list(Alert.objects.filter(call__call_id=call_id).order_by("timestamp", "id"))


def kinds(call_id: str = "c") -> list[str]:
    return [alert.kind for alert in alerts(call_id)]


def test_what_an_engine_finds_becomes_alerts(site: Engines) -> None:
    engine = Emitter()
    site.bind("c", engine).result(10)
    engine.emit("events", OVERLAP)
    engine.emit("events", [OVERLAP | {"type": "silence"}, OVERLAP | {"type": "cough"}])
    engine.emit("anomalies", (ECHO,))
    engine.emit("result", RESULT)
    assert sorted(kinds()) == sorted(["overlap", "silence", "cough", "echo", "mos", "negative"])
    site.unbind("c").result(10)
    assert Call.objects.get(call_id="c").mos_score == 2.4


def test_findings_of_our_own_kind_are_opened_raised_and_closed(site: Engines) -> None:
    engine = Emitter()
    site.bind("c", engine)
    analyzer = CallAnalyzer()
    found = analyzer.push(call(14_000, [(500, 4500)], [(1500, 4000)])) + analyzer.finish()
    engine.emit("events", found)
    stored = alerts()
    assert {alert.kind for alert in stored} >= {"overlap", "long_pause"}
    assert all(alert.ended_at is not None for alert in stored)
    raised = [alert for alert in stored if alert.kind == "long_pause"]
    assert [alert.severity for alert in raised] == sorted(alert.severity for alert in raised)
    assert {alert.repeat_of for alert in raised[1:]} == {raised[0].id}


def test_what_is_only_known_when_it_is_over_is_told_with_its_end(site: Engines) -> None:
    engine = Emitter()
    site.bind("c", engine)
    over = CallEvent("overlap", "all", 900, 400, "low", 1400)
    engine.emit("events", Finding("overlap:all:900", State.CLOSED, over))
    (alert,) = alerts()
    assert alert.ended_at == alert.occurred_at + 400


def test_what_an_engine_leaves_open_ends_with_it(site: Engines) -> None:
    engine = Emitter()
    site.bind("c", engine)
    opened = CallEvent("silence", "agent", 900, 5000, "high", 5900)
    engine.emit("events", Finding("silence", State.OPENED, opened))
    site.unbind("c").result(10)
    (alert,) = alerts()
    assert alert.ended_at is not None


def test_a_bound_call_is_in_progress_until_it_is_unbound(site: Engines) -> None:
    site.bind("c", Emitter()).result(10)
    assert Call.objects.get(call_id="c").active
    assert site.call_ids() == ["c"]
    site.unbind("c").result(10)
    row = Call.objects.get(call_id="c")
    assert (row.active, row.ended_at is not None) == (False, True)
    assert site.call_ids() == []
    site.unbind("c").result(10)
    site.unbind("never bound").result(10)
    assert not Call.objects.filter(call_id="never bound").exists()


def test_rebinding_lets_the_old_engine_go(site: Engines) -> None:
    old, new = Emitter(), Emitter()
    site.bind("c", old)
    site.bind("c", new).result(10)
    assert (old.destroyed, new.destroyed) == (1, 0)
    assert site.get("c") is new
    old.emit("events", OVERLAP)
    assert kinds() == []
    new.emit("events", OVERLAP)
    assert kinds() == ["overlap"]
    assert Call.objects.get(call_id="c").active


def test_an_engine_that_is_unbound_or_stopped_is_destroyed_and_not_heard_any_more(site: Engines) -> None:
    first, second = Emitter(), Emitter()
    site.bind("c", first)
    site.bind("other", second)
    site.unbind("c")
    site.stop()
    assert (first.destroyed, second.destroyed) == (1, 1)
    first.emit("events", OVERLAP)
    second.emit("anomalies", ECHO)
    assert kinds("c") == kinds("other") == []
    assert not Call.objects.filter(active=True).exists()
    assert site.get("c") is None


def test_an_engine_bound_again_to_its_call_is_not_destroyed_and_told_once(site: Engines) -> None:
    engine = Emitter()
    site.bind("c", engine)
    site.bind("c", engine)
    engine.emit("events", OVERLAP)
    assert (engine.destroyed, kinds()) == (0, ["overlap"])


def test_engines_may_speak_from_any_thread_and_from_async_code(site: Engines) -> None:
    engine = Emitter()
    kinds_told = [f"kind {number}" for number in range(40)]

    async def speak() -> None:
        site.bind("c", engine)
        engine.emit("events", [OVERLAP | {"type": kind} for kind in kinds_told[:20]])

    asyncio.run(speak())
    threads = [threading.Thread(target=engine.emit, args=("events", OVERLAP | {"type": k})) for k in kinds_told[20:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds()) == sorted(kinds_told)


class RaisesAtOn(Emitter):
    def on(self, name: str, callback: Callable[..., None]) -> None:
        super().on(name, callback)
        if name == "events":
            raise ZeroDivisionError("at on")


class RaisesAtDestroy(Emitter):
    def destroy(self) -> None:
        raise ZeroDivisionError("at destroy")


class Explosive(dict[str, Any]):
    def items(self) -> Any:
        raise ZeroDivisionError("at items")


LOOP: dict[str, Any] = {"type": "overlap"}
LOOP["metadata"] = LOOP
DEEP: dict[str, Any] = {}
for _ in range(2000):
    DEEP = {"deeper": DEEP}

FAULTS: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "half a result": ("result", ({"callQuality": {"mosScore": 4.2}},), "sentiment"),
    "an empty half": ("result", (RESULT | {"callQuality": {}},), "callQuality.mosScore"),
    "no result": ("result", (None,), "result"),
    "NaN": ("result", (RESULT | {"callQuality": {"mosScore": float("nan")}},), "not JSON compliant"),
    "NaN within": ("events", (OVERLAP | {"metadata": {"level": float("inf")}},), "not JSON compliant"),
    "what cannot be encoded": ("events", ([OVERLAP | {"metadata": {"at": object()}}],), "events[0]"),
    "half characters": ("events", (OVERLAP | {"channel": "\ud800"},), "Cannot be encoded"),
    "a loop": ("events", (LOOP,), "Cannot be encoded"),
    "depth": ("anomalies", (ECHO | {"metadata": DEEP},), "Cannot be encoded"),
    "a negative duration": ("events", ([OVERLAP, OVERLAP | {"duration": -1}],), "events[1]: duration"),
    "an unknown severity": ("anomalies", (ECHO | {"severity": "awful"},), "awful"),
    "no record": ("events", ("overlap",), "str"),
    "what raises when it is read": ("events", (Explosive(OVERLAP),), "ZeroDivisionError"),
    "nothing": ("events", (), "ValueError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_error_kills_nothing_it_is_told_once_and_the_rest_is_kept(site: Engines, fault: str) -> None:
    name, given, told = FAULTS[fault]
    bad, good = Emitter(), Emitter()
    site.bind("c", bad)
    site.bind("other", good)
    bad.emit("events", OVERLAP | {"type": "before"})
    for _ in range(3):
        bad.emit(name, *given)
    bad.emit("events", OVERLAP | {"type": "after"})
    good.emit("events", OVERLAP)
    stored = alerts()
    assert {alert.kind for alert in stored} >= {"before", "engine_fault", "after"}
    (fault_alert,) = [alert for alert in stored if alert.kind == "engine_fault"]
    assert (fault_alert.type, fault_alert.title) == ("anomaly", "Engine Fault")
    assert (fault_alert.severity, fault_alert.actionable) == (3, True)
    assert told in fault_alert.message
    assert kinds("other") == ["overlap"]


def test_the_good_half_of_a_result_counts(site: Engines) -> None:
    engine = Emitter()
    site.bind("c", engine)
    engine.emit("result", {"callQuality": {"mosScore": 2.4}})
    assert sorted(kinds()) == ["engine_fault", "mos"]


@pytest.mark.parametrize(("made", "told"), [(RaisesAtOn, "on('events')"), (RaisesAtDestroy, "destroy()")])
def test_an_engine_that_raises_is_told_once_and_serves_as_far_as_it_can(
    site: Engines, made: type[Emitter], told: str
) -> None:
    engine = made()
    site.bind("c", engine)
    engine.emit("anomalies", ECHO)
    site.unbind("c").result(10)
    stored = alerts()
    assert sorted(alert.kind for alert in stored) == ["echo", "engine_fault"]
    assert told in next(alert.message for alert in stored if alert.kind == "engine_fault")


def test_each_binding_may_fault_once(site: Engines, settings: Any) -> None:
    settings.ALERT_COOLDOWN_MS = 0
    for _ in range(2):
        engine = Emitter()
        site.bind("c", engine)
        engine.emit("events", "no record")
        engine.emit("events", "no record")
    assert kinds() == ["engine_fault", "engine_fault"]


@pytest.mark.parametrize("call_id", ["", "x" * 257, "a\nb", 7])
def test_what_is_no_call_id_is_refused_by_name(site: Engines, call_id: Any) -> None:
    with pytest.raises(ValueError, match="call id"):
        site.bind(call_id, Emitter())


def test_what_is_no_engine_is_refused(site: Engines) -> None:
    earlier = Emitter()
    site.bind("c", earlier)
    with pytest.raises(TypeError, match="has no on"):
        site.bind("c", object())  # type: ignore[arg-type]
    assert (site.get("c"), earlier.destroyed) == (earlier, 0)


def test_a_quiet_engine_is_lost_once_until_it_speaks(site: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOOK_S", 0.01)
    monkeypatch.setattr(engines, "QUIET_S", 0.05)
    engine = Emitter()
    site.bind("c", engine)
    lost = until(lambda: Alert.objects.filter(kind="lost").first())
    assert (lost.type, lost.severity, lost.data) == (
        "disconnection",
        3,
        {"protocol": "engine", "reason": lost.data["reason"]},
    )
    assert lost.ended_at is None
    engine.emit("result", RESULT)
    until(lambda: Alert.objects.filter(kind="lost", ended_at__isnull=False).exists())
    until(lambda: Alert.objects.filter(kind="lost").count() == 2)
    assert Call.objects.get(call_id="c").active


def test_an_engine_that_floods_waits_for_itself_and_nobody_for_it(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(call_id: str, mos: float) -> None:
        assert go_on.wait(30)

    monkeypatch.setattr(engines, "LOOK_S", 0.01)
    monkeypatch.setattr(engines, "MAX_WAITING", 1)
    monkeypatch.setattr(dispatch, "note_mos", note)
    site, engine, go_on = Engines(is_heard=lambda call_id: False), Emitter(), threading.Event()
    site.bind("c", engine).result(10)
    flood = threading.Thread(target=lambda: engine.emit("result", [RESULT] * 50), daemon=True)
    flood.start()
    time.sleep(0.1)  # long enough to be looked at while it waits, else this shows nothing
    go_on.set()
    site.bind("other", Emitter()).result(10)
    flood.join(10)
    assert not flood.is_alive()
    site.stop()
    dispatch.close(10)


def until(found: Callable[[], Any]) -> Any:
    """What is found, once there is something."""
    for _ in range(1000):
        if it := found():
            return it
        time.sleep(0.02)
    raise AssertionError("it does not come true")


@pytest.fixture
def _process(transactional_db: None) -> Iterator[None]:
    """The engines of this very process, as `serve` stops them."""
    yield
    asyncio.run(hearing.stop())
    dispatch.close(10)


@pytest.mark.usefixtures("_process")
def test_the_names_of_the_process_bind_and_list_its_calls() -> None:
    engine = Emitter()
    hearing.bind("c", engine).result(10)
    assert hearing.get_engine("c") is engine
    assert hearing.get_engine("another") is None
    assert hearing.active_calls() == ["c"]
    hearing.unbind("c").result(10)
    assert hearing.active_calls() == []


@pytest.mark.usefixtures("_process")
def test_the_server_stops_though_an_engine_will_not_be_destroyed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(Emitter):
        def destroy(self) -> None:
            enough.wait()

    enough, other = threading.Event(), Emitter()
    monkeypatch.setattr(hearing, "ENGINES_WITHIN_S", 0.2)
    hearing.bind("c", Stubborn())
    hearing.bind("other", other).result(10)
    asyncio.run(hearing.stop())
    assert not Call.objects.filter(active=True).exists()
    assert hearing.active_calls() == []
    enough.set()
    until(lambda: other.destroyed)


@pytest.mark.usefixtures("_process")
async def test_a_call_that_is_heard_and_has_an_engine_is_over_when_neither_goes_on() -> None:
    async def is_active() -> bool:
        return await Call.objects.filter(call_id="c", active=True).aexists()

    start = Start("pcm", "c", "a-stream", Encoding.MULAW, 8000, ("caller",))
    for unbound_first in (True, False):
        stream = await hearing.the_hearing().open(start, lambda refusal: None)
        await asyncio.wrap_future(hearing.bind("c", Emitter()))
        assert hearing.active_calls() == ["c"]
        if unbound_first:
            await asyncio.wrap_future(hearing.unbind("c"))
        else:
            await stream.close("stop")
        assert await is_active()
        assert (await Call.objects.aget(call_id="c")).protocol == "pcm"
        if unbound_first:
            await stream.close("stop")
        else:
            await asyncio.wrap_future(hearing.unbind("c"))
        assert not await is_active()
