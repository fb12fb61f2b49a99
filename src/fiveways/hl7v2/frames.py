"""MLLP: a message between a start block and an end block (HL7 v2 Transport Specification: MLLP, release 1).

    <VT> message <FS> <CR>

What stands between two frames is no message: a carriage return or line feed is passed over, anything else is told of.
"""

from __future__ import annotations

from typing import Final

from fiveways.errors import FivewaysError

START: Final = b"\x0b"
END: Final = b"\x1c\r"
LIMIT: Final = 10 * 2**20
"""Bytes of one message."""


class BadFrame(FivewaysError):
    """What came is no frame; the connection cannot be read on."""


def framed(content: bytes) -> bytes:
    """A message in its frame; ValueError where it holds what ends one."""
    if END in content or START in content:
        raise ValueError("a message cannot hold the characters of its frame")
    return START + content + END


class Deframer:
    """Takes bytes as they come, and gives the messages in them. Memory is bounded by `limit`."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._inside = False
        self._looked = 0

    @property
    def inside(self) -> bool:
        """Whether a message has begun that has not ended."""
        return self._inside

    def feed(self, received: bytes) -> list[bytes]:
        """The messages that are whole now. BadFrame for bytes outside a frame, a frame inside another, or one that is too long."""
        self._held += received
        messages: list[bytes] = []
        while True:
            if not self._inside and not self._begin():
                return messages
            end = self._held.find(END, max(self._looked - 1, 0))
            begun = self._held.find(START, self._looked, end if end >= 0 else len(self._held))
            if begun >= 0:
                raise BadFrame("a frame begins inside another: the one before has no end")
            if (end if end >= 0 else len(self._held)) > self._limit:
                raise BadFrame(f"a message is longer than {self._limit} bytes")
            if end < 0:
                self._looked = len(self._held)
                return messages
            messages.append(bytes(self._held[:end]))
            del self._held[: end + len(END)]
            self._inside, self._looked = False, 0

    def _begin(self) -> bool:
        """Find the start of the next frame; False where it is not there yet."""
        stripped = self._held.lstrip(b"\r\n")
        if not stripped:
            self._held.clear()
            return False
        if stripped[:1] != START:
            raise BadFrame("expected the start of a frame (0x0B)")
        self._held = stripped[1:]
        self._inside = True
        return True
