"""The WebSocket protocol itself: what breaks it ends that connection, with the right code, and no other."""

import struct
from collections.abc import Iterator

import pytest

from tests.live import LiveServer, an_alert, watcher_token
from tests.socket.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawSocket, frame, handshake

PING_REQUEST = b'{"type":"ping"}'


@pytest.fixture(autouse=True)
def another(server: LiveServer, request: pytest.FixtureRequest) -> Iterator[None]:
    """Beside every test another subscriber is connected; afterwards it gets an alert as if nothing had been."""
    call_id = f"beside-{abs(hash(request.node.name))}"
    with RawSocket(server).upgrade(f"/?callId={call_id}") as other:
        yield
        server.post(an_alert(call_id))
        assert call_id.encode() in other.frame()[1]


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


BROKEN = {
    "an unmasked frame": (frame(TEXT, PING_REQUEST, masked=False), 1002),
    "the first reserved bit": (frame(TEXT, PING_REQUEST, reserved=4), 1002),
    "the last reserved bit": (frame(TEXT, PING_REQUEST, reserved=1), 1002),
    "a reserved data opcode": (frame(0x3, b"x"), 1002),
    "a reserved control opcode": (frame(0xB), 1002),
    "a control frame that is too long": (frame(PING, b"x" * 126), 1002),
    "a control frame in fragments": (frame(PING, b"x", fin=False), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a new message inside of one": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "text that is no UTF-8": (frame(TEXT, b'{"type":"\xff"}'), 1007),
    "UTF-8 that ends too early": (frame(TEXT, "é".encode()[:1]), 1007),
    "UTF-8 of half a surrogate pair": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close with code 999": (close(999), 1002),
    "a close with code 1005": (close(1005), 1002),
    "a close with code 1006": (close(1006), 1002),
    "a close with code 5000": (close(5000), 1002),
    "a close whose reason is no UTF-8": (close(1000, b"\xff"), 1007),
    "a message of 16 exabytes": (bytes([0x82, 0xFF]) + b"\xff" * 8 + b"mask", 1009),
    "a message announced with 65 KiB": (bytes([0x82, 0xFF]) + struct.pack("!Q", 65 * 1024) + b"mask", 1009),
    "fragments of more than 64 KiB": (
        frame(TEXT, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000),
        1009,
    ),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_protocol_ends_with_its_code(server: LiveServer, sent: bytes, code: int) -> None:
    with RawSocket(server).upgrade() as raw:
        raw.send(sent)
        assert raw.close_code() == code
        assert raw.is_at_its_end()


def test_a_close_is_answered_with_its_code(server: LiveServer) -> None:
    with RawSocket(server).upgrade() as raw:
        raw.send(close(3456, b"enough"))
        assert raw.close_code() == 3456
        assert raw.is_at_its_end()


def test_a_message_may_come_in_fragments_with_a_ping_between(server: LiveServer) -> None:
    with RawSocket(server).upgrade() as raw:
        raw.send(frame(TEXT, b'{"type":', fin=False) + frame(PING, b"between"))
        assert raw.frame() == (PONG, b"between")
        raw.send(frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b'"ping"}'))
        assert b'"pong"' in raw.frame()[1]


def test_a_handshake_and_a_message_may_come_byte_by_byte(server: LiveServer) -> None:
    with RawSocket(server) as raw:
        for byte in handshake():
            raw.send(bytes([byte]))
        assert raw.status() == 101
        assert b'"connected"' in raw.frame()[1]
        for byte in frame(BINARY, PING_REQUEST):
            raw.send(bytes([byte]))
        assert b'"pong"' in raw.frame()[1]


def test_messages_in_one_packet_are_answered_in_order(server: LiveServer) -> None:
    with RawSocket(server).upgrade("/?v=2") as raw:
        raw.send(b"".join(frame(TEXT, b'{"type":"ping","ref":%d}' % ref) for ref in range(50)))
        assert [raw.frame()[1].endswith(b'"ref":%d}' % ref) for ref in range(50)] == [True] * 50


def test_empty_fragments_without_end_are_not_kept(server: LiveServer) -> None:
    with RawSocket(server).upgrade() as raw:
        raw.send(frame(TEXT, PING_REQUEST, fin=False) + frame(CONTINUATION, fin=False) * 100_000 + frame(CONTINUATION))
        assert b'"pong"' in raw.frame()[1]


def test_an_unasked_pong_is_ignored(server: LiveServer) -> None:
    with RawSocket(server).upgrade() as raw:
        raw.send(frame(PONG, b"unasked") + frame(TEXT, PING_REQUEST))
        assert b'"pong"' in raw.frame()[1]


def test_pings_whose_pongs_are_not_read_end_the_connection(server: LiveServer) -> None:
    with RawSocket(server, receive_buffer=4096).upgrade() as raw:
        pings = frame(PING, b"x" * 125) * 1000
        with pytest.raises(ConnectionError):
            raw.send(pings * 1000)


ODD_HANDSHAKES = {
    "a method other than GET": (handshake().replace(b"GET", b"POST", 1), 405),
    "another version of the protocol": (handshake().replace(b"Version: 13", b"Version: 12"), 400),
    "no key": (handshake().replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
    "a key that is none": (handshake("/", "Sec-WebSocket-Key: rubbish"), 400),
    "a path in letters that HTTP has not": (handshake("/\xe9"), 400),
    "more headers than anybody sends": (handshake("/", *(f"X-{number}: x" for number in range(200))), 431),
    "a header of 20,000 characters": (handshake("/", f"X-Long: {'x' * 20_000}"), 431),
    "a path of 20,000 characters": (handshake("/?" + "x" * 20_000), 414),
    "an encoded slash and a NUL in the path": (handshake("/ws%2falerts%00"), 403),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), ODD_HANDSHAKES.values(), ids=ODD_HANDSHAKES)
def test_a_handshake_that_is_none_is_an_http_error(server: LiveServer, sent: bytes, status: int) -> None:
    with RawSocket(server) as raw:
        raw.send(sent)
        assert raw.status() == status


@pytest.mark.parametrize("host", ["a b", "", "[", "x" * 300, "\xe9", "a:b:c"])
def test_a_host_header_of_a_b_crashed_the_original_and_is_nothing_here(server: LiveServer, host: str) -> None:
    with RawSocket(server) as raw:
        raw.send(handshake(host=host))
        assert raw.status() == 101
        assert b'"connected"' in raw.frame()[1]


def test_a_path_of_two_slashes_leads_where_one_does(server: LiveServer) -> None:
    with RawSocket(server) as raw:
        raw.send(handshake("//"))
        assert raw.status() == 101


def test_half_a_handshake_holds_up_nobody(server: LiveServer) -> None:
    with RawSocket(server) as raw:
        raw.send(handshake()[:60])
        with RawSocket(server).upgrade() as other:
            other.send(frame(TEXT, PING_REQUEST))
            assert b'"pong"' in other.frame()[1]


def test_who_goes_away_without_a_word_leaves_a_free_place(server: LiveServer) -> None:
    for _ in range(150):  # of 100 places
        RawSocket(server).upgrade().socket.close()
    assert server.call("GET", "/api/v1/alerts/?pageSize=1", token=watcher_token())[0] == 200
