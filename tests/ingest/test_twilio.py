"""Twilio's frames become the audio that was spoken, in order and in place, or one clear error."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.audio import Encoding
from analysis.ingest.events import Audio, Event, Gap, ProtocolError, Start, Stop
from analysis.ingest.twilio import TwilioDecoder
from tests.ingest.peers import (
    FRAME,
    FRAME_MS,
    TWILIO_CONNECTED,
    TWILIO_STOP,
    assert_well_formed,
    gaps,
    heard,
    placed,
    twilio_media,
    twilio_start,
    voice,
)


def decoded(*messages: str | bytes, finish: str | None = "close") -> list[Event]:
    decoder = TwilioDecoder()
    events = [event for message in messages for event in decoder.feed(message)]
    if finish:
        events += decoder.finish(finish)
    assert_well_formed(events)
    return events


def refusal(*messages: str | bytes) -> tuple[int, str]:
    decoder = TwilioDecoder()
    for message in messages[:-1]:
        decoder.feed(message)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(messages[-1])
    return caught.value.code, caught.value.message


def test_a_call_of_both_tracks_is_heard_on_two_channels() -> None:
    caller, agent = voice(5, seed=1), voice(5, seed=2)
    frames = [
        twilio_media(chunk, data, track=track)
        for chunk in range(1, 6)
        for track, data in (("inbound", caller[chunk - 1]), ("outbound", agent[chunk - 1]))
    ]
    events = decoded(TWILIO_CONNECTED, twilio_start(), *frames, TWILIO_STOP)
    assert events[0] == Start(
        "twilio", "CA0001", "MZ0001", Encoding.MULAW, 8000, ("caller", "agent"), {}, continuous=True
    )
    assert heard(events, 0) == b"".join(caller)
    assert heard(events, 1) == b"".join(agent)
    assert not any(isinstance(event, Gap) for event in events)
    assert events[-1] == Stop("stop")


@pytest.mark.parametrize(
    ("tracks", "channels"),
    [
        (["inbound"], ("caller",)),
        (["outbound"], ("agent",)),
        (["outbound", "inbound"], ("caller", "agent")),
    ],
)
def test_the_announced_tracks_are_the_channels(tracks: list[str], channels: tuple[str, ...]) -> None:
    events = decoded(twilio_start(tracks=tracks), twilio_media(1, b"\x00" * FRAME, track=tracks[0]))
    assert isinstance(events[0], Start)
    assert events[0].channels == channels
    assert isinstance(events[1], Audio)
    assert channels[events[1].channel or 0] == {"inbound": "caller", "outbound": "agent"}[tracks[0]]


def test_an_endpoints_roles_say_who_is_on_which_track() -> None:
    decoder = TwilioDecoder({"inbound": "agent", "outbound": "caller"})
    (start,) = decoder.feed(twilio_start())
    (audio,) = decoder.feed(twilio_media(1, b"abc", track="inbound"))
    assert isinstance(start, Start)
    assert isinstance(audio, Audio)
    assert audio.channel is not None
    assert start.channels[audio.channel] == "agent"


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("audio/x-mulaw", Encoding.MULAW),
        ("PCMU", Encoding.MULAW),
        ("audio/x-alaw", Encoding.ALAW),
        ("pcma", Encoding.ALAW),
        ("audio/x-L16", Encoding.LINEAR16),
        ("L16", Encoding.LINEAR16),
    ],
)
def test_an_encoding_is_known_by_each_of_its_names(name: str, encoding: Encoding) -> None:
    media_format = {"encoding": name, "sampleRate": "16000", "channels": "1"}
    start = decoded(twilio_start(mediaFormat=media_format))[0]
    assert isinstance(start, Start)
    assert (start.encoding, start.sample_rate) == (encoding, 16000)


def test_numbers_may_be_strings_or_integers() -> None:
    frame = json.loads(twilio_media(1, b"abc"))
    frame["media"] |= {"chunk": 1, "timestamp": 0}
    assert heard(decoded(twilio_start(), json.dumps(frame), twilio_media(2, b"def"))) == b"abcdef"


def test_other_events_are_ignored() -> None:
    others = [json.dumps({"event": name, name: {}}) for name in ("dtmf", "mark", "surprise")]
    assert decoded(*others, twilio_start(), *others)[1:] == [Stop("close")]


def test_a_stream_that_never_started_ends_without_an_event() -> None:
    assert decoded(TWILIO_CONNECTED) == []


def test_the_end_is_told_once_and_what_follows_is_ignored() -> None:
    late = [twilio_media(1, b"late"), twilio_start(), "not JSON"]
    assert decoded(twilio_start(), TWILIO_STOP, *late, TWILIO_STOP)[1:] == [Stop("stop")]


def test_a_call_without_a_stop_keeps_what_was_held_back() -> None:
    events = decoded(twilio_start(), twilio_media(1, b"a" * FRAME), twilio_media(3, b"c" * FRAME))
    assert events[1:] == [
        Audio(b"a" * FRAME, 0),
        Gap(FRAME, "lost", 0),
        Audio(b"c" * FRAME, 0),
        Stop("close"),
    ]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 60), reach=st.integers(1, 3))
def test_frames_shuffled_and_doubled_within_the_window_give_the_same_audio(seed: int, frames: int, reach: int) -> None:
    source = random.Random(seed)
    tracks = {"inbound": voice(frames, seed=1), "outbound": voice(frames, seed=2)}
    line = [
        (chunk, twilio_media(chunk + 1, data[chunk], track=track))
        for chunk in range(frames)
        for track, data in tracks.items()
    ]
    line += [source.choice(line) for _ in range(frames // 4)]
    # A frame moves by less than `reach` places of its track either way; a double as well.
    line.sort(key=lambda each: each[0] + source.random() * reach)
    events = decoded(twilio_start(), *(frame for _, frame in line))
    assert heard(events, 0) == b"".join(tracks["inbound"])
    assert heard(events, 1) == b"".join(tracks["outbound"])
    assert not any(isinstance(event, Gap) for event in events)


@settings(max_examples=60, deadline=None)
@given(kept=st.sets(st.integers(1, 60), min_size=1))
def test_lost_frames_become_gaps_of_their_length(kept: set[int]) -> None:
    frames = voice(60)
    events = decoded(twilio_start(), *(twilio_media(chunk, frames[chunk - 1]) for chunk in sorted(kept)))
    assert heard(events) == b"".join(frames[chunk - 1] for chunk in sorted(kept))
    assert placed(events) == max(kept) * FRAME
    assert all(why == "lost" for why, _ in gaps(events))


def test_a_missing_frame_is_waited_for_by_five_others_only() -> None:
    decoder = TwilioDecoder()
    decoder.feed(twilio_start())
    for chunk in range(2, 7):
        assert decoder.feed(twilio_media(chunk, b"x" * FRAME)) == []
    given_up = decoder.feed(twilio_media(7, b"x" * FRAME))
    assert gaps(given_up) == [("lost", FRAME)]
    assert heard(given_up) == b"x" * FRAME * 6
    assert decoder.feed(twilio_media(1, b"too late")) == []


def test_a_missing_frame_is_waited_for_by_200_ms_of_the_other_track_only() -> None:
    decoder = TwilioDecoder()
    decoder.feed(twilio_start())
    assert decoder.feed(twilio_media(2, b"x" * FRAME)) == []
    for chunk in range(1, 12):
        assert not gaps(decoder.feed(twilio_media(chunk, b"y" * FRAME, track="outbound")))
    given_up = decoder.feed(twilio_media(12, b"y" * FRAME, track="outbound"))
    assert gaps(given_up) == [("lost", FRAME)]
    assert heard(given_up) == b"x" * FRAME


def test_a_track_that_begins_later_is_placed_by_its_timestamp() -> None:
    events = decoded(twilio_start(), twilio_media(1, b"x" * FRAME, track="outbound", timestamp_ms=3000))
    assert gaps(events, 1) == [("paused", 24000)]
    assert gaps(events, 0) == []


def test_a_track_that_pauses_goes_on_at_its_timestamp() -> None:
    frames = [twilio_media(1, b"x" * FRAME), twilio_media(2, b"y" * FRAME, timestamp_ms=1020)]
    assert gaps(decoded(twilio_start(), *frames)) == [("paused", 8000)]


def test_timestamps_that_wander_by_three_frames_make_no_gap() -> None:
    source = random.Random(3)
    wander = [(chunk - 1) * FRAME_MS + source.randint(0, 60) for chunk in range(1, 200)]
    frames = [twilio_media(chunk, b"x" * FRAME, timestamp_ms=at) for chunk, at in enumerate(wander, 1)]
    assert gaps(decoded(twilio_start(), *frames)) == []


def test_timestamps_that_run_behind_rewind_nothing() -> None:
    frames = [twilio_media(chunk, b"x" * FRAME, timestamp_ms=0) for chunk in range(1, 50)]
    events = decoded(twilio_start(), *frames)
    assert (len(heard(events)), gaps(events)) == (49 * FRAME, [])


def test_chunks_numbered_over_both_tracks_lose_nothing() -> None:
    frames = [
        twilio_media(2 * n + (track == "outbound") + 1, b"x" * FRAME, track=track, timestamp_ms=n * FRAME_MS)
        for n in range(100)
        for track in ("inbound", "outbound")
    ]
    events = decoded(twilio_start(), *frames)
    assert [(len(heard(events, channel)), gaps(events, channel)) for channel in (0, 1)] == [(16000, [])] * 2


def test_a_track_that_was_silent_for_hours_goes_on_after_a_gap_that_is_a_number() -> None:
    minutes = [twilio_media(n, b"x" * FRAME, track="outbound", timestamp_ms=n * 60_000) for n in range(1, 20 * 60 + 1)]
    again = twilio_media(10**14, b"x" * FRAME, timestamp_ms=20 * 3600 * 1000)
    events = decoded(twilio_start(), twilio_media(1, b"x" * FRAME), *minutes, again)
    inbound = [event for event in events if isinstance(event, Audio | Gap) and event.channel == 0]
    assert placed(inbound) == 20 * 3600 * 8000 + FRAME
    assert len(inbound) <= 6


def test_a_clock_that_jumps_ends_the_stream_and_is_named() -> None:
    decoder = TwilioDecoder()
    decoder.feed(twilio_start())
    with pytest.raises(ProtocolError, match="jumps from 0 to 60001 ms") as refused:
        decoder.feed(twilio_media(1, b"x" * FRAME, timestamp_ms=60_001))
    assert refused.value.code == 1003


def test_a_sample_cut_by_a_frame_is_carried_over() -> None:
    media_format = {"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1}
    start = twilio_start(mediaFormat=media_format)
    assert heard(decoded(start, twilio_media(1, b"abc"), twilio_media(2, b"def"))) == b"abcdef"
    assert heard(decoded(start, twilio_media(1, b"abc"), twilio_media(3, b"def"))) == b"abde"


def test_frames_of_any_length_are_taken() -> None:
    pieces = [b"", b"a", b"bc" * 500, b"d" * 160]
    frames = [twilio_media(chunk, data, timestamp_ms=0) for chunk, data in enumerate(pieces, 1)]
    assert heard(decoded(twilio_start(), *frames)) == b"".join(pieces)


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"mediaFormat": {"encoding": "opus", "sampleRate": 8000}}, 1003, "'opus'"),
        ({"mediaFormat": {"encoding": 7, "sampleRate": 8000}}, 1003, "start.mediaFormat.encoding"),
        ({"mediaFormat": {"encoding": "PCMU", "sampleRate": "fast"}}, 1003, "'fast'"),
        ({"mediaFormat": {"encoding": "PCMU", "sampleRate": 4000}}, 1003, "4000 Hz"),
        ({"mediaFormat": {"encoding": "PCMU", "sampleRate": 8000, "channels": 2}}, 1003, "channels is 2"),
        ({"mediaFormat": None}, 1003, "start.mediaFormat"),
        ({"callSid": None}, 1003, "start.callSid"),
        ({"callSid": ["CA"]}, 1003, "start.callSid is not a string: a list"),
        ({"callSid": ""}, 1008, "start.callSid has 0 characters"),
        ({"callSid": "C" * 257}, 1008, "257"),
        ({"callSid": "CA\n1"}, 1008, "control characters"),
        ({"streamSid": 5}, 1003, "start.streamSid"),
        ({"tracks": []}, 1003, "start.tracks"),
        ({"tracks": ["sideways"]}, 1003, "'sideways'"),
        ({"tracks": "inbound"}, 1003, "start.tracks"),
        ({"customParameters": {"secret": 5}}, 1003, "start.customParameters"),
        ({"customParameters": []}, 1003, "start.customParameters"),
    ],
)
def test_a_start_that_cannot_be_read_is_named(changes: dict[str, Any], code: int, named: str) -> None:
    error_code, message = refusal(twilio_start(**changes))
    assert error_code == code
    assert named in message


@pytest.mark.parametrize(
    ("frame", "code", "named"),
    [
        ("{", 1003, "text frame is not JSON"),
        ("[1]", 1003, "text frame is not an object"),
        ("[" * 500 + "]" * 500, 1003, "text frame is not an object"),
        ("{}", 1003, "event is not a string"),
        (b"\x00\x01", 1003, "binary frame of 2 bytes"),
        (twilio_start(), 1008, "second start"),
        (twilio_media(1, "no base64!"), 1003, "media.payload of chunk 1 is not base64"),
        (twilio_media(1, "QUJ"), 1003, "media.payload of chunk 1 is not base64"),
        (twilio_media(1, "QU=J"), 1003, "media.payload of chunk 1 is not base64"),
        (twilio_media("one", b"", timestamp_ms=0), 1003, "media.chunk is not a whole number: 'one'"),
        (twilio_media("-1", b"", timestamp_ms=0), 1003, "media.chunk is not a whole number: '-1'"),
        (twilio_media("\u0661", b"", timestamp_ms=0), 1003, "media.chunk is not a whole number"),
        (twilio_media(1, b"", timestamp_ms=1.5), 1003, "media.timestamp is not a whole number: 1.5"),
        (twilio_media(1, b"", timestamp_ms=True), 1003, "media.timestamp is not a whole number: True"),
        (twilio_media(1, b"", timestamp_ms=1757080000000), 1003, "1757080000000"),
        (twilio_media(1, b"", track=3), 1003, "media.track is not a string: 3"),
        (twilio_media(1, b"", track="outbound"), 1008, "media.track 'outbound' was not announced"),
        ('{"event":"media"}', 1003, "media is not an object"),
        ('{"event":"media","media":{}}', 1003, "media.track"),
    ],
)
def test_a_frame_that_cannot_be_read_is_named(frame: str | bytes, code: int, named: str) -> None:
    error_code, message = refusal(twilio_start(tracks=["inbound"]), frame)
    assert error_code == code
    assert named in message


def test_media_before_start_is_refused() -> None:
    assert refusal(twilio_media(1, b"x")) == (1008, "media before start")


def test_a_broken_frame_takes_nothing_from_what_was_heard() -> None:
    decoder = TwilioDecoder()
    decoder.feed(twilio_start())
    decoder.feed(twilio_media(2, b"held back"))
    with pytest.raises(ProtocolError):
        decoder.feed("{")
    assert heard(decoder.finish("error")) == b"held back"


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_numbers = st.integers(-1, 40) | st.integers(-1, 40).map(str) | _values
_frames = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20),
    _values.map(json.dumps),
    st.builds(lambda payload, *rest: twilio_media(rest[0], payload, track=rest[1], timestamp_ms=rest[2])
              if isinstance(rest[0], int | str) else json.dumps({"event": "media", "media": rest[0]}),
              st.binary(max_size=9), _numbers, st.sampled_from(["inbound", "outbound"]) | _values,
              st.integers(0, 90_000_000) | _values.filter(lambda value: value is not None)),
    st.sampled_from([TWILIO_CONNECTED, TWILIO_STOP, twilio_start()]),
    st.dictionaries(st.sampled_from(["tracks", "callSid", "mediaFormat", "customParameters"]), _values)
    .map(lambda changes: twilio_start(**changes)),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(messages=st.lists(_frames, max_size=12))
def test_whatever_comes_gives_events_or_a_protocol_error(messages: list[str | bytes]) -> None:
    decoder = TwilioDecoder()
    events: list[Event] = []
    errors: list[ProtocolError] = []
    for message in [twilio_start(), *messages]:
        try:
            events += decoder.feed(message)
        except ProtocolError as error:
            errors.append(error)
    assert all(error.code in (1003, 1008) for error in errors)
    assert all(error.message.isascii() and error.message.isprintable() for error in errors)
    events += decoder.finish("close")
    assert_well_formed(events)
    assert isinstance(events[-1], Stop)
