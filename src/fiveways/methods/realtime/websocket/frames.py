"""Frames, without I/O: what a client sends is read, and what the server sends is built (RFC 6455 §5).

A data frame that arrives in pieces is handed on in pieces, as if its sender had fragmented it there; fragments mean nothing of
themselves (§5.4). So an octet that makes a message wrong is seen when it arrives, and what waits in here is never more than the
header of a data frame or the beginning of a control frame: 130 bytes.
"""

from __future__ import annotations

import struct
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
ABNORMAL: Final = 1006
NOT_UTF8: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

MOST_CONTROL: Final = 125
"""Bytes of a control frame's payload (RFC 6455 §5.5)."""
MOST_REASON: Final = MOST_CONTROL - 2
_LONG: Final = 8192
"""Bytes of payload from which it is quicker to unmask by four runs of `bytes.translate` than by one exclusive or."""


class Violation(Exception):
    """The client has broken the protocol. `code`: of the Close that tells it so (RFC 6455 §7.4.1); `reason` quotes nothing."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Frame:
    """A frame, unmasked; or a piece of a data frame, which is a fragment like any other."""

    __slots__ = ("final", "opcode", "payload")

    def __init__(self, opcode: int, final: bool, payload: bytes) -> None:
        self.opcode = opcode
        self.final = final
        self.payload = payload


class FrameReader:
    """Reads the frames of one client. `feed` what has arrived, then `take` until there is None.

    `largest`: bytes that a message may have, all its fragments together.
    """

    __slots__ = ("_at", "_data", "_final", "_largest", "_left", "_mask", "_room")

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._room = largest
        self._data = b""
        self._at = 0
        self._left = 0
        self._mask = b""
        self._final = True

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        self._data = self._data + data if self._data else data

    def take(self) -> Frame | None:
        """The next frame or piece of one, None until more has arrived. Raises Violation as soon as a header shows it."""
        data, at = self._data, self._at
        if self._left:
            return self._piece(CONTINUATION) if at < len(data) else self._wait()
        if len(data) - at < 2:
            return self._wait()
        first, second = data[at], data[at + 1]
        opcode, final, length, start = first & 0x0F, first > 0x7F, second & 0x7F, at + 2
        if first & 0x70:
            raise Violation(PROTOCOL_ERROR, "a reserved bit is set")  # RFC 6455 §5.2: no extension was agreed on
        if opcode not in _OPCODES:
            raise Violation(PROTOCOL_ERROR, "an opcode that is reserved")  # RFC 6455 §5.2
        if second < 0x80:
            raise Violation(PROTOCOL_ERROR, "a frame that is not masked")  # RFC 6455 §5.1
        if opcode >= CLOSE:
            if not final:
                raise Violation(PROTOCOL_ERROR, "a control frame in fragments")  # RFC 6455 §5.5
            if length > MOST_CONTROL:
                raise Violation(PROTOCOL_ERROR, "a control frame of more than 125 bytes")  # RFC 6455 §5.5
            if len(data) < start + 4 + length:
                return self._wait()
        else:
            if length > MOST_CONTROL:
                start += 2 if length == 126 else 8
                if len(data) < start:
                    return self._wait()
                length = _extended(data[at + 2 : start])
            room = self._room if opcode == CONTINUATION else self._largest
            if length > room:
                raise Violation(TOO_BIG, f"a message of more than {self._largest} bytes")  # RFC 6455 §10.4
            if len(data) < start + 4:
                return self._wait()
            self._room = self._largest if final else room - length
        body = start + 4
        mask = data[start:body]
        if len(data) < body + length:
            self._at, self._left, self._mask, self._final = body, length, mask, final
            return self._piece(opcode)
        self._at = body + length
        return Frame(opcode, final, unmasked(data[body : body + length], mask) if length else b"")

    def _piece(self, opcode: int) -> Frame:
        """What there is of a data frame that has not arrived as a whole."""
        payload, mask = self._data[self._at : self._at + self._left], self._mask
        self._at += len(payload)
        self._left -= len(payload)
        turn = len(payload) & 3
        self._mask = mask[turn:] + mask[:turn]
        return Frame(opcode, self._final and not self._left, unmasked(payload, mask))

    def _wait(self) -> Frame | None:
        """Keep what is no frame yet, and nothing of what came before it."""
        self._data = self._data[self._at :]
        self._at = 0
        return None


def _extended(octets: bytes) -> int:
    """An extended payload length, of two or eight octets."""
    length = int.from_bytes(octets, "big")
    if length >> 63:
        raise Violation(PROTOCOL_ERROR, "a length whose highest bit is set")  # RFC 6455 §5.2
    if length <= (MOST_CONTROL if len(octets) == 2 else 0xFFFF):
        raise Violation(PROTOCOL_ERROR, "a length in more bytes than it takes")  # RFC 6455 §5.2
    return length


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """`payload` with `mask` of four octets laid over it, which masks as it unmasks (RFC 6455 §5.3)."""
    size = len(payload)
    if size >= _LONG:
        lanes = bytearray(size)
        for lane in range(4):
            lanes[lane::4] = payload[lane::4].translate(_TABLES[mask[lane]])
        return bytes(lanes)
    over = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(over, "little")).to_bytes(size, "little")


_TABLES: Final = [unmasked(bytes(range(256)), bytes((octet,)) * 4) for octet in range(256)]
"""For each octet of a mask, what it makes of each octet of a payload."""

# --- what the server sends: never masked (RFC 6455 §5.1), never in fragments --------------------------------------------------

_SHORT: Final = struct.Struct("!BB")
_MIDDLE: Final = struct.Struct("!BBH")
_LARGE: Final = struct.Struct("!BBQ")


def text(payload: bytes) -> bytes:
    """A text message; the payload is UTF-8, which is not looked at here."""
    return _framed(0x80 | TEXT, payload)


def binary(payload: bytes) -> bytes:
    """A binary message."""
    return _framed(0x80 | BINARY, payload)


def ping(payload: bytes = b"") -> bytes:
    """A Ping. Raises ValueError for more than 125 bytes (RFC 6455 §5.5)."""
    return _control(PING, payload)


def pong(payload: bytes = b"") -> bytes:
    """A Pong, with what its Ping had (RFC 6455 §5.5.3). Raises ValueError for more than 125 bytes."""
    return _control(PONG, payload)


def close(code: int | None = None, reason: str = "") -> bytes:
    """A Close; of its reason as many characters as fit into 123 bytes (RFC 6455 §5.5.1). Raises ValueError for other codes than
    `closes` has, and for a reason without a code."""
    if code is None and not reason:
        return _control(CLOSE, b"")
    if code is None or not closes(code):
        raise ValueError(f"{code} is no code to close with")
    said = reason.encode()[:MOST_REASON].decode(errors="ignore").encode()
    return _control(CLOSE, code.to_bytes(2, "big") + said)


def closes(code: int) -> bool:
    """Whether a Close may have the code: those of RFC 6455 §7.4.1, without what only stands for something (1004, 1005, 1006, 1015),
    and those of frameworks and applications (§7.4.2)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1011 or 3000 <= code <= 4999


def _control(opcode: int, payload: bytes) -> bytes:
    if len(payload) > MOST_CONTROL:
        raise ValueError("a control frame has at most 125 bytes")
    return _framed(0x80 | opcode, payload)


def _framed(first: int, payload: bytes) -> bytes:
    """A whole frame, its length in as few bytes as can be (RFC 6455 §5.2)."""
    length = len(payload)
    if length <= MOST_CONTROL:
        return _SHORT.pack(first, length) + payload
    if length <= 0xFFFF:
        return _MIDDLE.pack(first, 126, length) + payload
    return _LARGE.pack(first, 127, length) + payload
