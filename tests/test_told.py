"""Words and network samples posted about a call that is heard: what comes of them, and what a call was like."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import Client

from alerts import dispatch
from alerts.models import Alert, Call, Told
from tests.analysis.voices import call, talk
from tests.live import publisher_token
from tests.phones import hang_up, hearing, over, say, told, until

TEN_SECONDS = call(10_000, [(500, 3000), (6000, 8000)], [(3000, 5900)], talk)
ANGRY = {"role": "caller", "text": "This is the third time I'm calling, nobody ever called me back, it's unacceptable."}
PLEASED = {"role": "caller", "text": "That's wonderful, thank you so much for sorting it out so quickly!"}
LOSSY = {"role": "agent", "packets": 900, "lost": 100, "jitter_ms": "40", "rttMs": 300, "codec": "PCMU"}

pytestmark = pytest.mark.usefixtures("_writing")


@sync_to_async
def post(what: str, body: Any, call_id: str = "c") -> tuple[int, Any]:
    answer = Client().post(
        f"/api/v1/calls/{call_id}/{what}/",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {publisher_token()}"},
    )
    return answer.status_code, answer.json()


async def taken() -> None:
    """Returns when the process that hears the call has taken all that was posted."""

    async def nothing_waits() -> bool:
        return not await Told.objects.aexists()

    await until(nothing_waits)


async def alerts(type: str) -> list[Alert]:
    return [alert async for alert in Alert.objects.filter(type=type).order_by("seq")]


async def test_angry_words_are_told_once_and_end_when_the_mood_turns() -> None:
    async with hearing() as (dial, _), dial() as socket:
        await say(socket, TEN_SECONDS)
        await told("started")
        assert await post("transcript", {"segments": [ANGRY, {"text": "hm", "isFinal": False}]}) == (
            202,
            {"accepted": 2},
        )
        await taken()
        for _ in range(2):
            await say(socket, TEN_SECONDS)

        async def one_goes_on() -> bool:
            return [alert.ended_at for alert in await alerts("sentiment_shift")] == [None]

        await until(one_goes_on)
        await post("transcript", {"segments": [PLEASED, PLEASED, PLEASED]})
        await taken()
        await say(socket, TEN_SECONDS)

        async def it_has_ended() -> bool:
            return [alert.ended_at is not None for alert in await alerts("sentiment_shift")] == [True]

        await until(it_has_ended)
        (shift,) = await alerts("sentiment_shift")
        assert (shift.kind, shift.title) == ("negative", "Negative Sentiment Detected")
        assert shift.data["basis"] == "transcript"


async def test_a_network_that_loses_packets_degrades_the_call_and_its_score_is_kept() -> None:
    async with hearing() as (dial, _), dial() as socket:
        await say(socket, TEN_SECONDS)
        await told("started")
        for _ in range(3):
            assert (await post("network", {"source": "generic", "samples": [LOSSY]}))[0] == 202
            await taken()
            await say(socket, TEN_SECONDS)

        async def it_is_degraded() -> bool:
            return bool(await alerts("quality_degraded"))

        await until(it_is_degraded)
        await hang_up(socket)
        await over()
    (degraded,) = await alerts("quality_degraded")
    score = degraded.data["mosScore"]
    assert 1 < score < 3
    assert degraded.data["basis"] == "both"
    assert degraded.message == f"MOS score: {int(score * 10) / 10} (threshold: 3.0)"
    assert degraded.ended_at is not None, "it ends with the call"
    heard = await Call.objects.aget(call_id="c")
    assert heard.mos_score is not None
    assert score < heard.mos_score < 4, "the mean of the windows, the first of which were of sound alone"


async def test_a_call_ends_though_its_score_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(call_id: str, mos: float) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(dispatch, "note_mos", away)
    async with hearing() as (dial, _), dial() as socket:
        await say(socket, TEN_SECONDS)
        await told("started")
        assert (await post("network", {"samples": [LOSSY]}))[0] == 202
        await taken()
        await say(socket, TEN_SECONDS)
        await hang_up(socket)
        await over()


async def test_a_calls_summary_is_an_alert_before_its_stream_is_told_to_have_ended() -> None:
    async with hearing() as (dial, _), dial() as socket:
        await say(socket, TEN_SECONDS)
        await hang_up(socket)
        await over()
    (summary,) = await alerts("call_summary")
    assert summary.title == "Call Analysis Summary"
    assert summary.message.startswith("A call of 0:10.000 in which caller spoke")
    assert summary.data == {"summary": summary.message}
    (ended,) = await alerts("disconnection")
    assert summary.seq is not None
    assert ended.seq == summary.seq + 1


async def test_of_a_stream_without_audio_there_is_nothing_to_sum_up() -> None:
    async with hearing() as (dial, _), dial() as socket:
        await socket.send('{"type":"start"}')
        await told("started")
        await hang_up(socket)
        await over()
    assert await alerts("call_summary") == []


@pytest.mark.parametrize(
    ("what", "body", "named"),
    [
        ("transcript", {}, {"segments": ["A list of objects is needed."]}),
        ("transcript", {"segments": []}, {"segments": ["0 items; a list takes 1 to 1000."]}),
        ("transcript", {"segments": [{"role": "caller"}]}, {"segments": {"0": {"text": ["This field is required."]}}}),
        ("transcript", {"segments": [ANGRY], "more": 1}, {"more": ["Unknown field."]}),
        (
            "transcript",
            {"segments": [ANGRY, {"text": "hm", "words": []}]},
            {"segments": {"1": {"words": ["Unknown field."]}}},
        ),
        (
            "transcript",
            {"segments": [{"text": "hm", "role": "boss"}]},
            {"segments": {"0": {"role": ["'boss' is none of the call's: caller, agent."]}}},
        ),
        (
            "network",
            {"samples": [{"mos": 7}]},
            {"samples": {"0": {"mos": ["Ensure this value is less than or equal to 5."]}}},
        ),
        ("network", {"samples": ["x"]}, {"samples": {"0": {"non_field_errors": ["Expected an object, got str."]}}}),
    ],
)
async def test_what_cannot_be_read_is_named_and_nothing_of_it_is_kept(what: str, body: Any, named: Any) -> None:
    async with hearing(look_s=1e9) as (dial, _), dial() as socket:
        await say(socket, TEN_SECONDS)
        await told("started")
        assert await post(what, body) == (400, named)
        assert not await Told.objects.aexists()


@pytest.mark.parametrize("what", ["transcript", "network"])
async def test_about_a_call_that_nobody_hears_nothing_is_taken(what: str) -> None:
    body = {"segments": [ANGRY]} if what == "transcript" else {"samples": [LOSSY]}
    status, answer = await post(what, body, call_id="unheard")
    assert status == 409
    assert "not being heard" in answer["detail"]
