"""A WebSocket client without manners: it sends what it is told to, octet by octet, and reads only when it is asked to."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any, Self

from tests.acceptance.realtime.conftest import Estate

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(payload: bytes, opcode: int = TEXT, *, masked: bool = True, final: bool = True) -> bytes:
    """A frame."""
    first, size = (0x80 if final else 0) | opcode, len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    if not masked:
        return head + payload
    key = b"\x5a\xa5\x3c\xc3"
    long = int.from_bytes((key * (size // 4 + 1))[:size], "big") ^ int.from_bytes(payload, "big")
    return head + key + long.to_bytes(size, "big")


class Closed(Exception):
    """The server has closed the connection. `code` 1006: without a word."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


class Raw:
    """A connection."""

    def __init__(self, estate: Estate, *, origin: str = "", window: int = 0) -> None:
        """`window`: bytes that the system takes in for it while it does not read."""
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", estate.live))
        self._rest = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /connection/websocket HTTP/1.1", f"Host: 127.0.0.1:{estate.live}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *([f"Origin: {origin}"] if origin else []),
        ]  # fmt: skip
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head = b""
        while b"\r\n\r\n" not in head and (piece := self.socket.recv(1)):
            head += piece
        self.status = int(head.split(b" ", 2)[1]) if head else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def connect(self, token: str) -> Self:
        """Say who it is."""
        self.say({"id": 1, "connect": {"token": token}})
        assert self.answer(1)["connect"]["client"]
        return self

    def say(self, *commands: Any) -> None:
        """Send commands in one frame: JSON, or bytes as they are."""
        self.send(frame(b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in commands)))

    def send(self, octets: bytes) -> None:
        """Send octets; whether anybody takes them or not."""
        try:
            self.socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def frame(self) -> tuple[int, bytes]:
        """The next frame. Raises Closed once the connection is."""
        try:
            first, second = self._take(2)
            size = second & 0x7F
            if size > 125:
                (size,) = struct.unpack("!H" if size == 126 else "!Q", self._take(2 if size == 126 else 8))
            payload = self._take(size)
        except ConnectionResetError:
            raise Closed(1006) from None
        if first & 0x0F == CLOSE:
            raise Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())
        return first & 0x0F, payload

    def next(self) -> dict[str, Any]:
        """What is said next, and is no ping."""
        while True:
            _, payload = self.frame()
            if payload != b"{}":
                found: dict[str, Any] = json.loads(payload)
                return found

    def answer(self, number: int) -> dict[str, Any]:
        """The reply to a command; what comes before it is passed over."""
        while (found := self.next()).get("id") != number:
            pass
        return found

    def asked(self, number: int, **command: Any) -> dict[str, Any]:
        """The reply to a command that is sent now."""
        self.say({"id": number, **command})
        return self.answer(number)

    def code(self, seconds: float = 20) -> int:
        """With which code the server closes it, whatever else it says before."""
        self.socket.settimeout(seconds)
        try:
            while True:
                self.frame()
        except Closed as closed:
            return closed.code

    def _take(self, size: int) -> bytes:
        pieces = [self._rest]
        left = size - len(self._rest)
        while left > 0:
            piece = self.socket.recv(min(2**20, max(left, 4096)))
            if not piece:
                raise Closed(1006)
            pieces.append(piece)
            left -= len(piece)
        found = b"".join(pieces)
        self._rest = found[size:]
        return found[:size]
