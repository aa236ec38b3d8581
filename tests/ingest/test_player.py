"""A played recording arrives at the media socket as the call that it is."""

import asyncio
import socket
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alertsite.player import Played, PlayError, encode_mulaw, play
from analysis.audio import AudioError, Encoding, decode
from analysis.media import MediaApp
from tests.ingest.peers import heard
from tests.ingest.servers import PUBLIC_URL, TOKEN, KeptStreams, serving

FAST = float("inf")


def mulaw_file(path: Path, data: bytes, channels: int = 2, *, missing: int = 0) -> Path:
    fmt = struct.pack("<HHIIHH", 7, channels, 8000, 8000 * channels, channels, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data) + missing) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def pcm_file(path: Path, samples: np.ndarray, rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


async def played(path: Path, dialect: str, sink: KeptStreams, *, token: str = TOKEN, speed: float = FAST) -> Played:
    async with serving(MediaApp(sink, TOKEN, PUBLIC_URL)) as address:
        url = f"{address}/media/{dialect}/"
        return await play(path, url, dialect=dialect, call_id="call 1/ä", token=token, speed=speed)


async def test_mulaw_of_two_channels_arrives_as_both_tracks_bit_for_bit(tmp_path: Path) -> None:
    data = np.random.default_rng(1).bytes(2 * 8000 + 2 * 37)
    sink = KeptStreams()
    done = await played(mulaw_file(tmp_path / "call.wav", data), "twilio", sink)
    (stream,) = sink.streams
    assert (stream.start.call_id, stream.start.channels) == ("call 1/ä", ("caller", "agent"))
    assert [heard(stream.events, channel) for channel in (0, 1)] == [data[0::2], data[1::2]]
    assert stream.closed_with == ["stop"]
    assert done == Played(sent_ms=1005, frames=102)


async def test_one_channel_is_the_callers_track(tmp_path: Path) -> None:
    sink = KeptStreams()
    await played(mulaw_file(tmp_path / "call.wav", b"abcd", channels=1), "twilio", sink)
    assert sink.streams[0].start.channels == ("caller",)
    assert heard(sink.streams[0].events) == b"abcd"


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 48000])
async def test_other_recordings_are_converted_for_twilio(tmp_path: Path, rate_hz: int) -> None:
    def tone(rate: int) -> np.ndarray:
        wave_form: np.ndarray = 8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
        return wave_form.astype(np.int16)

    sink = KeptStreams()
    stereo = np.stack([tone(rate_hz), np.zeros(rate_hz, np.int16)], axis=1)
    await played(pcm_file(tmp_path / "call.wav", stereo, rate_hz), "twilio", sink)
    sound, silence = (decode(heard(sink.streams[0].events, n), Encoding.MULAW) for n in (0, 1))
    assert len(sound) == len(silence) == 8000
    difference = (sound.astype(int) - tone(8000))[200:-200]
    assert np.abs(difference).max() < 300  # the coarsest step of mu-law at this level is 512
    assert not silence.any()


async def test_raw_audio_arrives_as_the_recording_is(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(-32768, 32767, (16000, 2), dtype=np.int16)
    sink = KeptStreams()
    done = await played(pcm_file(tmp_path / "call.wav", samples, 16000), "pcm", sink)
    (stream,) = sink.streams
    assert (stream.start.encoding, stream.start.sample_rate) == (Encoding.LINEAR16, 16000)
    assert heard(stream.events, None) == samples.astype("<i2").tobytes()
    assert done == Played(sent_ms=1000, frames=50)


async def test_a_call_that_takes_no_more_holds_the_player_and_loses_nothing(tmp_path: Path) -> None:
    data = np.random.default_rng(3).bytes(2 * 8000 * 60)
    sink = KeptStreams(capacity=1000)
    playing = asyncio.create_task(played(mulaw_file(tmp_path / "call.wav", data), "twilio", sink))
    stream = await sink.stream("call 1/ä")
    await stream.written.wait()
    stream.release()
    await playing
    assert heard(stream.events, 0) == data[0::2]


async def test_progress_is_told_in_time_of_the_recording(tmp_path: Path) -> None:
    path = mulaw_file(tmp_path / "call.wav", bytes(2 * 400))
    told: list[tuple[int, int]] = []

    def progress(sent_ms: int, total_ms: int) -> None:
        told.append((sent_ms, total_ms))

    async with serving(MediaApp(KeptStreams(), TOKEN, PUBLIC_URL)) as address:
        url = f"{address}/media/twilio/"
        await play(path, url, dialect="twilio", call_id="c", token=TOKEN, speed=10, on_progress=progress)
    assert told == [(20, 50), (40, 50), (50, 50)]


@pytest.mark.parametrize("dialect", ["twilio", "pcm"])
async def test_a_refusal_is_told_with_its_code_and_reason(tmp_path: Path, dialect: str) -> None:
    path = mulaw_file(tmp_path / "call.wav", bytes(16000))
    with pytest.raises(PlayError, match="closed with 4401 Unauthorised"):
        await played(path, dialect, KeptStreams(), token="wrong")
    with pytest.raises(PlayError, match="closed with 1013 Too many calls"):
        await played(path, dialect, KeptStreams(places=0))


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = mulaw_file(tmp_path / "call.wav", bytes(160))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"ws://127.0.0.1:{closed.getsockname()[1]}/media/pcm/"
    with pytest.raises(PlayError, match=f"cannot connect to {url}: "):
        await play(path, url, dialect="pcm", call_id="c", token=TOKEN)


async def test_a_truncated_recording_is_played_as_far_as_it_goes_and_named(tmp_path: Path) -> None:
    sink = KeptStreams()
    with pytest.raises(AudioError, match="truncated"):
        await played(mulaw_file(tmp_path / "call.wav", bytes(640), missing=100), "pcm", sink)
    assert heard(sink.streams[0].events, None) == bytes(640)


async def test_an_unknown_dialect_or_speed_is_named(tmp_path: Path) -> None:
    path = mulaw_file(tmp_path / "call.wav", bytes(160))
    with pytest.raises(ValueError, match="'morse'"):
        await play(path, "ws://127.0.0.1:9/", dialect="morse", call_id="c", token=TOKEN)
    with pytest.raises(ValueError, match="speed is 0"):
        await play(path, "ws://127.0.0.1:9/", dialect="pcm", call_id="c", token=TOKEN, speed=0)


def test_mulaw_bytes_survive_decoding_and_encoding() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # the negative zero becomes the positive one
    assert encode_mulaw(decode(codes, Encoding.MULAW)) == codes


@given(arrays(np.int16, st.integers(0, 50), elements=st.integers(-32124, 32124)))
def test_mulaw_is_within_half_a_step_of_the_sample(samples: np.ndarray) -> None:
    back = decode(encode_mulaw(samples), Encoding.MULAW).astype(int)
    step = 2.0 ** np.floor(np.log2(np.abs(samples.astype(int)) + 132)) / 16
    assert (np.abs(back - samples) <= step / 2).all()
