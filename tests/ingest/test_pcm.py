"""Raw audio is heard however it is cut and described, or refused in one clear sentence."""

import json
import struct
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.audio import Encoding
from analysis.ingest.events import Event, ProtocolError, Start, Stop
from analysis.ingest.pcm import PcmDecoder
from tests.ingest.peers import assert_well_formed, heard


def query(**fields: Any) -> str:
    return urlencode({"call_id": "c1"} | fields)


def decoded(asked: str, *messages: str | bytes, finish: str = "close") -> list[Event]:
    decoder = PcmDecoder(asked)
    events = [event for message in messages for event in decoder.feed(message)]
    events += decoder.finish(finish)
    assert_well_formed(events)
    return events


def started(asked: str, *messages: str | bytes) -> Start:
    start = decoded(asked, *messages)[0]
    assert isinstance(start, Start)
    return start


def control(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields)


def wav_header(tag: int = 1, channels: int = 1, rate_hz: int = 16000, bits: int = 16, *, extra: bytes = b"") -> bytes:
    group = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * group, group, bits) + extra
    comment = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    return b"".join(
        (b"RIFF\xff\xff\xff\xffWAVE", b"fmt ", struct.pack("<I", len(body)), body, comment, b"data\xff\xff\xff\xff")
    )


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(each % (len(data) + 1) for each in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def test_the_query_describes_the_stream() -> None:
    asked = query(encoding="mulaw", sample_rate=16000, channels=2, roles="agent,caller", tenant="t1", token="s")
    start = started(asked, b"ab")
    assert (start.protocol, start.call_id) == ("pcm", "c1")
    assert (start.encoding, start.sample_rate) == (Encoding.MULAW, 16000)
    assert start.channels == ("agent", "caller")
    assert start.params == {"tenant": "t1"}


def test_without_a_word_it_is_one_channel_of_linear_16_bit_at_8_khz() -> None:
    decoder = PcmDecoder("")
    start = decoder.feed(b"\x00\x01")[0]
    assert start == Start("pcm", f"pcm-{decoder.stream_id}", decoder.stream_id, Encoding.LINEAR16, 8000, ("mixed",))
    assert started("channels=2", b"\x00\x01").channels == ("caller", "agent")
    assert started("roles=agent", b"\x00\x01").channels == ("agent",)


@settings(max_examples=80, deadline=None)
@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    encoding=st.sampled_from(list(Encoding)),
    channels=st.integers(1, 2),
)
def test_cuts_change_nothing(data: bytes, cuts: list[int], encoding: Encoding, channels: int) -> None:
    group = encoding.sample_width * channels
    pieces = cut(b"\x00" * group + data, cuts)
    events = decoded(query(encoding=encoding, channels=channels), *pieces)
    whole = group + len(data) - len(data) % group
    assert heard(events, None) == (b"\x00" * group + data)[:whole]


@settings(max_examples=80, deadline=None)
@given(
    data=st.binary(max_size=40),
    cuts=st.lists(st.integers(0, 120), max_size=6),
    shape=st.sampled_from([(1, 1, 16), (1, 2, 16), (6, 1, 8), (7, 2, 8)]),
)
def test_a_wav_header_cut_anywhere_gives_the_format(data: bytes, cuts: list[int], shape: tuple[int, int, int]) -> None:
    tag, channels, bits = shape
    header = wav_header(tag, channels, 16000, bits)
    events = decoded(query(sample_rate=8000), *cut(header + data, cuts))
    start = events[0]
    assert isinstance(start, Start)
    assert (start.sample_rate, len(start.channels)) == (16000, channels)
    assert start.encoding == {1: "linear16", 6: "alaw", 7: "mulaw"}[tag]
    assert heard(events, None) == data[: len(data) - len(data) % (channels * bits // 8)]


def test_an_extended_wav_header_is_read() -> None:
    extended = struct.pack("<HHIH", 22, 16, 0, 1) + bytes(14)
    assert started(query(), wav_header(0xFFFE, extra=extended), b"ab").encoding is Encoding.LINEAR16


def test_audio_that_only_begins_like_a_wav_header_is_audio() -> None:
    assert heard(decoded(query(encoding="mulaw"), b"RI"), None) == b"RI"
    assert heard(decoded(query(encoding="mulaw"), b"R", b"IFT"), None) == b"RIFT"


def test_a_wav_header_that_never_ends_is_no_stream() -> None:
    assert decoded(query(), wav_header()[:30]) == []


def test_a_start_message_may_describe_the_stream_before_the_audio() -> None:
    told = control("start", callId="c2", encoding="alaw", sampleRate=16000, channels=2, roles=["agent", "caller"])
    events = decoded(query(), b"", told, b"abcd")
    start = events[0]
    assert isinstance(start, Start)
    assert (start.call_id, start.encoding, start.sample_rate) == ("c2", Encoding.ALAW, 16000)
    assert start.channels == ("agent", "caller")
    assert heard(events, None) == b"abcd"


def test_other_messages_change_nothing() -> None:
    others = [control(kind) for kind in ("KeepAlive", "Finalize", "dtmf", "surprise")]
    events = decoded(query(), *others, b"ab", *others, b"cd")
    assert heard(events, None) == b"abcd"
    assert events[-1] == Stop("close")


def test_close_stream_ends_it_once() -> None:
    decoder = PcmDecoder(query())
    decoder.feed(b"ab")
    assert decoder.feed(control("CloseStream")) == [Stop("stop")]
    assert decoder.ended
    assert decoder.feed(b"cd") == decoder.feed("{") == decoder.finish("close") == []


def test_close_stream_before_any_audio_ends_it_without_an_event() -> None:
    decoder = PcmDecoder(query())
    assert decoder.feed(control("CloseStream")) == []
    assert decoder.ended


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"encoding": "opus"}, 1003, "encoding 'opus'"),
        ({"sample_rate": "fast"}, 1008, "sample_rate is not a whole number: 'fast'"),
        ({"sample_rate": 96000}, 1008, "sample_rate is 96000 Hz"),
        ({"sample_rate": ""}, 1008, "sample_rate is not a whole number: ''"),
        ({"channels": 3}, 1008, "channels is '3'"),
        ({"channels": 2, "roles": "caller"}, 1008, "roles is 'caller'"),
        ({"channels": 1, "roles": "caller,agent"}, 1008, "roles is 'caller,agent'"),
        ({"roles": "agent,agent"}, 1008, "roles is 'agent,agent'"),
        ({"roles": "boss"}, 1008, "roles is 'boss'"),
        ({"call_id": ""}, 1008, "call_id has 0 characters"),
        ({"call_id": "x" * 257}, 1008, "call_id has 257 characters"),
        ({"call_id": "a\x00b"}, 1008, "call_id has control characters: 'a\\x00b'"),
        ({f"p{n}": n for n in range(101)}, 1008, "query cannot be read"),
    ],
)
def test_a_wrong_query_is_named(fields: dict[str, Any], code: int, named: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        PcmDecoder(query(**fields))
    assert caught.value.code == code
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("messages", "code", "named"),
    [
        (["{"], 1003, "text frame is not JSON"),
        (["[]"], 1003, "text frame is not an object"),
        (['{"type":5}'], 1003, "type is not a string: 5"),
        ([control("start"), control("start")], 1008, "start after the stream has started"),
        ([b"ab", control("start")], 1008, "start after the stream has started"),
        ([control("start", sampleRate=1.5)], 1003, "sample_rate is not a string: 1.5"),
        ([control("start", encoding="opus")], 1003, "encoding 'opus'"),
        ([control("start", channels=0)], 1008, "channels is '0'"),
        ([b"RIFF....AVI LIST"], 1003, "not WAVE"),
        ([wav_header(3, bits=32)], 1003, "WAV format 3 of 32 bits"),
        ([wav_header(rate_hz=4000)], 1008, "sample_rate is 4000 Hz"),
        ([wav_header(channels=6)], 1008, "channels is '6'"),
        ([b"RIFF....WAVEdata...."], 1003, "data before fmt"),
        ([b"RIFF....WAVEfmt \x04\0\0\0\1\0\1\0"], 1003, "4 bytes"),
        ([b"RIFF....WAVELIST\xff\xff\xff\x00"], 1003, "longer than 65536"),
    ],
)
def test_a_message_that_cannot_be_read_is_named(messages: list[str | bytes], code: int, named: str) -> None:
    decoder = PcmDecoder(query())
    for message in messages[:-1]:
        decoder.feed(message)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(messages[-1])
    assert caught.value.code == code
    assert named in caught.value.message


_messages = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"R", b"RIFF", wav_header(), wav_header()[:20], wav_header()[20:], wav_header(7, 2, 8000, 8)]),
    st.binary(max_size=30).map(lambda tail: b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + tail),
    st.text(max_size=12),
    st.dictionaries(
        st.sampled_from(["type", "encoding", "sampleRate", "channels", "roles", "call_id"]),
        st.sampled_from(["start", "CloseStream", "mulaw", "caller", 2, 8000]) | st.none() | st.text(max_size=5)
        | st.integers() | st.lists(st.text(max_size=5), max_size=2),
    ).map(json.dumps),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(messages=st.lists(_messages, max_size=12))
def test_whatever_comes_gives_events_or_a_protocol_error(messages: list[str | bytes]) -> None:
    decoder = PcmDecoder(query())
    events: list[Event] = []
    errors: list[ProtocolError] = []
    for message in messages:
        try:
            events += decoder.feed(message)
        except ProtocolError as error:
            errors.append(error)
    events += decoder.finish("close")
    assert_well_formed(events)
    assert all(error.code in (1003, 1008) for error in errors)
    assert all(error.message.isascii() and error.message.isprintable() for error in errors)
