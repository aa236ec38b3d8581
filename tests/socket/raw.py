"""The WebSocket protocol by hand: bytes on a TCP connection, for what no client library would send."""

import base64
import os
import socket
import struct
from typing import Self

from tests.live import LiveServer, watcher_token

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA


def handshake(path: str = "/ws/alerts", *headers: str, host: str = "x", token: str = "") -> bytes:
    """An upgrade that is let in, with more header lines."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token or watcher_token()}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """A client's frame, or nearly one."""
    head = bytes([fin << 7 | reserved << 4 | opcode])
    size = len(payload)
    length = struct.pack("!B", masked << 7 | size) if size < 126 else struct.pack("!BH", masked << 7 | 126, size)
    mask = os.urandom(4) if masked else b""
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload)) if masked else payload
    return head + length + mask + body


class RawSocket:
    """A TCP connection to the server that may have been upgraded."""

    def __init__(self, server: LiveServer, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", server.port))
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def status(self) -> int:
        """The status of the HTTP answer, read to the end of its head."""
        while b"\r\n\r\n" not in self._read:
            data = self.socket.recv(65_536)
            assert data, f"the server closed after {self._read!r}"
            self._read += data
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        return int(head.split(b" ", 2)[1])

    def upgrade(self, path: str = "/ws/alerts", token: str = "") -> Self:
        """Past the handshake and `connected`."""
        self.send(handshake(path, token=token))
        assert self.status() == 101
        assert b'"connected"' in self.frame()[1]
        return self

    def frame(self) -> tuple[int, bytes]:
        """The server's next frame: opcode and payload."""
        first, second = self._take(2)
        assert first & 0x70 == 0, "the server sets no reserved bits"
        assert second < 128, "the server masks nothing"
        size = second
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        return first & 0x0F, self._take(size)

    def close_code(self) -> int:
        """The code of the close frame, which has to be what comes next."""
        opcode, payload = self.frame()
        assert opcode == CLOSE, (opcode, payload)
        return int(struct.unpack("!H", payload[:2])[0])

    def is_at_its_end(self) -> bool:
        """Waits until the server has closed the connection; whether nothing came before."""
        try:
            return not self._read and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            data = self.socket.recv(65_536)
            assert data, f"the server closed after {self._read!r}"
            self._read += data
        taken, self._read = self._read[:count], self._read[count:]
        return taken
