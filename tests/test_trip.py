"""The whole trip on real audio: what a live call brings is what the same recording brings offline."""

import asyncio
import contextlib
import json
import struct
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from alertsite.player import play
from tests.conftest import Connect
from tests.live import MEDIA_TOKEN, ROOT, LiveServer, watcher_token

SAMPLE = ROOT / "samples" / "call.wav"
REAL_CALL = ROOT.parent / "shared" / "data" / "real-call.wav"  # a recording of others: there or not


def talking_over_each_other(recording: Path, folder: Path) -> Path:
    """The recording with its second channel 4 s early, so that a polite call is full of overlaps."""
    wav = recording.read_bytes()
    start = wav.index(b"data") + 8
    (length,) = struct.unpack_from("<I", wav, start - 4)
    first, second = wav[start : start + length : 2], wav[start + 1 : start + length : 2]
    second = second[4 * 8000 :] + second[: 4 * 8000]
    mixed = bytes(byte for pair in zip(first, second, strict=True) for byte in pair)
    path = folder / f"over-{recording.name}"
    path.write_bytes(wav[:start] + mixed)
    return path


def heard_offline(recording: Path) -> list[tuple[str, str, int]]:
    """Type, channel and start of every event that `python -m analysis` finds."""
    command = [sys.executable, "-m", "analysis", str(recording), "--json"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    return sorted(
        (record["type"], record["channel"], record["timestamp"]) for record in records if record["record"] == "event"
    )


def heard_live(server: LiveServer, call_id: str) -> list[tuple[str, str, int]]:
    """The same of what the server stored, held back or not; a raised event is the one it repeats."""
    rows = server.rows(
        "SELECT data FROM alerts_alert WHERE type = 'call_event' AND call_id ="
        " (SELECT id FROM alerts_call WHERE call_id = ?)",
        call_id,
    )
    events = [json.loads(data)["event"] for (data,) in rows]
    return sorted({(event["type"], event["channel"], event["timestamp"]) for event in events})


async def test_live_calls_at_natural_speed_bring_what_is_heard_offline(server: LiveServer, tmp_path: Path) -> None:
    recordings = [SAMPLE]
    if REAL_CALL.exists():
        recordings += [REAL_CALL, talking_over_each_other(REAL_CALL, tmp_path)]
    calls = {f"trip-{recording.stem}": recording for recording in recordings}
    await asyncio.gather(
        *(
            play(recording, server.ws("/media/twilio/"), dialect="twilio", call_id=call_id, token=MEDIA_TOKEN)
            for call_id, recording in calls.items()
        )
    )
    for call_id, recording in calls.items():
        await closed(server, call_id)
        offline, live = heard_offline(recording), heard_live(server, call_id)
        print(f"{recording.name}: {len(offline)} events offline, {len(live)} live")
        assert [(type_, channel) for type_, channel, _ in live] == [(type_, channel) for type_, channel, _ in offline]
        for (*_, start_live), (*_, start_offline) in zip(live, offline, strict=True):
            assert abs(start_live - start_offline) <= 20


async def in_progress(server: LiveServer, call_id: str) -> None:
    """Returns when the call's row says that it is being heard."""
    await until(server, "SELECT 1 FROM alerts_call WHERE call_id = ? AND active", call_id)


async def closed(server: LiveServer, call_id: str) -> None:
    """Returns when the call's row says that it is over."""
    await until(server, "SELECT 1 FROM alerts_call WHERE call_id = ? AND NOT active AND ended_at", call_id)


async def until(server: LiveServer, query: str, *values: str) -> None:
    """Returns when the query finds something."""
    for _ in range(200):
        if server.rows(query, *values):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{query} with {values} finds nothing")


@pytest.mark.parametrize("dialect", ["twilio", "pcm"])
async def test_a_call_played_fast_in_either_dialect_brings_the_same(server: LiveServer, dialect: str) -> None:
    call_id = f"fast-{dialect}"
    url = server.ws(f"/media/{dialect}/")
    await play(SAMPLE, url, dialect=dialect, call_id=call_id, token=MEDIA_TOKEN, speed=50)
    await closed(server, call_id)
    assert heard_live(server, call_id) == heard_offline(SAMPLE)


async def test_subscribers_of_two_concurrent_calls_get_their_own_and_one_that_never_subscribed_gets_both(
    server: LiveServer, subscribe: Connect
) -> None:
    calls = ["side-by-side-1", "side-by-side-2"]
    own = {call: await subscribe(path=f"/ws/alerts?callId={call}") for call in calls}
    both = await subscribe(watcher_token(*calls))
    url = server.ws("/media/twilio/")
    await asyncio.gather(
        *(play(SAMPLE, url, dialect="twilio", call_id=call, token=MEDIA_TOKEN, speed=20) for call in calls)
    )
    for call in calls:
        await closed(server, call)
    got = {call: [alert["id"] for alert in await client.until_pong()] for call, client in own.items()}
    for call in calls:
        sent = server.rows(
            "SELECT id FROM alerts_alert WHERE type IN ('call_event', 'call_summary') AND seq AND call_id ="
            " (SELECT id FROM alerts_call WHERE call_id = ?) ORDER BY seq",
            call,
        )
        assert [uuid.UUID(id_) for id_ in got[call]] == [uuid.UUID(id_) for (id_,) in sent]
        assert len(got[call]) > 5
    everything = [alert["id"] for alert in await both.until_pong()]
    assert sorted(everything) == sorted(got[calls[0]] + got[calls[1]])


async def test_every_finding_ends_with_its_final_duration(server: LiveServer) -> None:
    call_id = "ends"
    await play(SAMPLE, server.ws("/media/twilio/"), dialect="twilio", call_id=call_id, token=MEDIA_TOKEN, speed=50)
    await closed(server, call_id)
    rows = server.rows(
        "SELECT data, occurred_at, ended_at, version FROM alerts_alert WHERE type = 'call_event' AND call_id ="
        " (SELECT id FROM alerts_call WHERE call_id = ?)",
        call_id,
    )
    assert rows
    for data, occurred_at, ended_at, version in rows:
        assert ended_at - occurred_at == json.loads(data)["event"]["duration"]
        assert version == 2


async def test_what_was_heard_before_a_call_broke_off_is_kept_and_its_call_is_closed(server: LiveServer) -> None:
    """Audio up to the second overlap, then something that is no audio: the server says so and closes."""
    call_id, mulaw = "broken-off", SAMPLE.read_bytes()[-60_960 * 16 :]
    path = f"/media/pcm/?call_id={call_id}&encoding=mulaw&sample_rate=8000&channels=2"
    headers = {"Authorization": f"Bearer {MEDIA_TOKEN}"}
    frames: list[dict[str, Any]] = []
    async with connect(server.ws(path), additional_headers=headers) as socket:
        await socket.send(mulaw[: 8 * 16_000])
        await socket.send("{not json")
        with contextlib.suppress(ConnectionClosed):
            while True:
                frames.append(json.loads(await socket.recv()))
        assert socket.close_code == 1003
    assert [frame["type"] for frame in frames] == ["Ready", "error"]
    await closed(server, call_id)
    assert {kind for kind, *_ in heard_live(server, call_id)} == {"overlap", "interrupt", "speaker_change"}
    await play(SAMPLE, server.ws("/media/twilio/"), dialect="twilio", call_id="after", token=MEDIA_TOKEN, speed=100)


async def test_a_stream_whose_silences_run_ahead_of_the_clock_is_ended_and_others_are_heard(
    server: LiveServer,
) -> None:
    async with connect(server.ws("/media/twilio/")) as socket:
        start = {
            "streamSid": "MZ1",
            "callSid": "jumps",
            "tracks": ["inbound"],
            "customParameters": {"token": MEDIA_TOKEN},
        }
        start["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        await socket.send(json.dumps({"event": "start", "start": start}))
        with contextlib.suppress(ConnectionClosed):
            for chunk in range(1, 1000):
                media = {"track": "inbound", "chunk": str(chunk), "timestamp": str(chunk * 59_000), "payload": "//8="}
                await socket.send(json.dumps({"event": "media", "media": media}))
        await socket.wait_closed()
        assert (socket.close_code, "clock" in (socket.close_reason or "")) == (1003, True)
    await closed(server, "jumps")
    await play(SAMPLE, server.ws("/media/pcm/"), dialect="pcm", call_id="beside", token=MEDIA_TOKEN, speed=50)
    await closed(server, "beside")
    assert heard_live(server, "beside") == heard_offline(SAMPLE)


async def test_a_call_whose_connection_breaks_goes_on_in_another_stream(server: LiveServer) -> None:
    call_id, mulaw = "broke", SAMPLE.read_bytes()[-60_960 * 16 :]
    path = server.ws(f"/media/pcm/?call_id={call_id}&encoding=mulaw&sample_rate=8000&channels=2")
    headers = {"Authorization": f"Bearer {MEDIA_TOKEN}"}
    about = "call_id = (SELECT id FROM alerts_call WHERE call_id = ?)"
    async with connect(path, additional_headers=headers) as first:
        await first.send(mulaw[: 8 * 16_000])
        await (await first.ping())
        first.transport.abort()
    await until(server, f"SELECT 1 FROM alerts_alert WHERE kind = 'lost' AND {about}", call_id)
    async with connect(path, additional_headers=headers) as second:
        await second.send(mulaw[8 * 16_000 :])
        await second.send('{"type":"CloseStream"}')
        await second.wait_closed()
        assert second.close_code == 1000
    await closed(server, call_id)
    assert len(heard_live(server, call_id)) >= len(heard_offline(SAMPLE))
    assert server.rows(
        f"SELECT kind FROM alerts_alert WHERE type LIKE '%connection' AND {about} ORDER BY seq", call_id
    ) == [
        ("started",),
        ("lost",),
        ("started",),
        ("ended",),
    ]


async def test_calls_in_progress_are_listed_until_they_end(server: LiveServer) -> None:
    def active() -> list[str]:
        page = server.call("GET", "/api/v1/calls/?active=true&pageSize=500", token=watcher_token())[1]
        return [call["callId"] for call in page["results"]]

    path, headers = "/media/pcm/?call_id=in-progress", {"Authorization": f"Bearer {MEDIA_TOKEN}"}
    async with connect(server.ws(path), additional_headers=headers) as socket:
        await socket.send(bytes(320))
        await in_progress(server, "in-progress")
        assert "in-progress" in await asyncio.to_thread(active)
    await closed(server, "in-progress")
    assert "in-progress" not in await asyncio.to_thread(active)


async def test_calls_in_progress_at_sigterm_are_heard_to_their_end_and_stored(own_server: Any) -> None:
    """One is being heard; the other has lost its connection and waits."""
    server = own_server()
    path = "/media/pcm/?call_id=cut&encoding=mulaw&sample_rate=8000&channels=2"
    headers = {"Authorization": f"Bearer {MEDIA_TOKEN}"}
    async with connect(server.ws("/media/pcm/?call_id=waits"), additional_headers=headers) as broken:
        await broken.send(bytes(320))
        await (await broken.ping())
        broken.transport.abort()
    await until(server, "SELECT 1 FROM alerts_alert WHERE kind = 'lost'")
    async with connect(server.ws(path), additional_headers=headers) as socket:
        await socket.recv()
        await socket.send(SAMPLE.read_bytes()[-60_960 * 16 :][: 19 * 16_000])  # within the long pause
        assert await asyncio.to_thread(server.stop) == 0
        await socket.wait_closed()
        assert socket.close_code == 1001
    assert "long_pause" in {kind for kind, *_ in heard_live(server, "cut")}
    assert server.rows("SELECT active FROM alerts_call WHERE call_id IN ('cut', 'waits')") == [(0,), (0,)]
    assert server.rows("SELECT COUNT(*) FROM alerts_alert WHERE type = 'call_event' AND ended_at IS NULL") == [(0,)]
