"""The binding in one process: what goes wrong with one call leaves nothing behind and harms no other."""

import asyncio
import logging
from typing import Any

import pytest

from alerts.models import Alert, Call
from alertsite.calls import Patience
from alertsite.hearing import Hearing
from alertsite.reporter import CallReporter
from analysis.audio import Encoding
from analysis.framing import Track
from analysis.ingest.events import Start
from tests.analysis.voices import call
from tests.phones import hang_up, hearing, over, say, told, until


@pytest.mark.usefixtures("_writing")
async def test_a_call_whose_opening_was_cancelled_can_be_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    process = Hearing()
    start = Start("pcm", "a-call", "a-stream", Encoding.MULAW, 8000, ("caller",))
    opening = asyncio.create_task(process.open(start, lambda refusal: None))
    await asyncio.sleep(0)  # it now waits for the bank
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.gather(*process._working)
    stream = await process.open(start, lambda refusal: None)
    await stream.close("stop")
    assert not (await Call.objects.aget(call_id="a-call")).active
    assert [record.getMessage() for record in caplog.records] == []


async def faults() -> list[str]:
    """The calls whose engine was told to have failed."""
    told = Alert.objects.filter(kind="engine_fault").order_by("call__call_id")
    return [call_id async for call_id in told.values_list("call__call_id", flat=True)]


@pytest.mark.usefixtures("_writing")
async def test_a_call_that_cannot_be_heard_is_told_once_and_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(track: Track, frames: int) -> Any:
        if track.sample_rate == 16_000:
            raise ZeroDivisionError("a bug that this audio hits")
        return of_all(track, frames)

    of_all = Track.take
    monkeypatch.setattr(Track, "take", take)
    audio = call(5000, [(500, 3500)], [(1500, 4500)])
    async with (
        hearing() as (dial, _),
        dial("call_id=bad&channels=2&sample_rate=16000") as bad,
        dial("call_id=good&channels=2") as good,
    ):
        for piece in (audio[:20_000], audio[20_000:]):
            await say(bad, piece)
            await say(good, piece)
            await told("started", call_id="good")
        for socket in (bad, good):
            await hang_up(socket)
        await over("bad")
        await over("good")
    assert await faults() == ["bad"]
    assert await Alert.objects.filter(call__call_id="good", kind="overlap").aexists()


@pytest.mark.usefixtures("_writing")
@pytest.mark.parametrize("what", ["finding", "result"])
async def test_what_cannot_be_reported_of_a_call_is_told_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def report(reporter: CallReporter, found: Any) -> None:
        if reporter.call_id == "bad":
            raise ZeroDivisionError("a bug that this call hits")
        of_all(reporter, found)

    of_all = getattr(CallReporter, what)
    monkeypatch.setattr(CallReporter, what, report)
    audio = call(6000, [(500, 3500)], [(1500, 4500)])
    async with (
        hearing() as (dial, _),
        dial("call_id=bad&channels=2") as bad,
        dial("call_id=good&channels=2") as good,
    ):
        for socket in (bad, good):
            await say(socket, audio)

        async def is_told() -> bool:
            return bool(await faults())

        await until(is_told)
    assert await faults() == ["bad"]


@pytest.mark.usefixtures("_writing")
async def test_when_the_bank_fails_every_call_is_told_of_it_once_and_hearing_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        hearing() as (dial, process),
        dial("call_id=one&channels=2") as one,
        dial("call_id=two&channels=2") as two,
    ):
        audio = call(5000, [(500, 3500)], [(1500, 4500)])
        for socket in (one, two):
            await say(socket, audio[:160])
        for call_id in ("one", "two"):
            await told("started", call_id=call_id)
        with monkeypatch.context() as poisoned:
            poisoned.setattr(process._bank, "tick", lambda: 1 / 0)

            async def are_told() -> bool:
                return await faults() == ["one", "two"]

            await until(are_told)
        await say(one, audio)
        await hang_up(one)
        await over("one")
    assert await faults() == ["one", "two"]
    assert await Alert.objects.filter(call__call_id="one", kind="overlap").aexists()


@pytest.mark.usefixtures("_writing")
async def test_calls_that_follow_each_other_are_watched_once() -> None:
    """Else silence would be counted twice."""
    process = Hearing(Patience(look_s=3600))
    start = Start("pcm", "a-call", "a-stream", Encoding.MULAW, 8000, ("caller",))
    for _ in range(3):
        stream = await process.open(start, lambda refusal: None)
        await stream.close("stop")
    (watcher,) = process._working
    watcher.cancel()
