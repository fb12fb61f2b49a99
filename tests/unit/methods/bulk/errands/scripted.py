"""A server that answers as it is told to, without SSH: over two buffers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Final

from fiveways.methods.bulk.errands.wire import Kind, Wire, string

Answering = Callable[[int, bytes], bytes | None]
"""Given the kind of a request and what follows its number: an answer from its kind on, without its number; None for none at all."""
FILE: Final = 0o100644
OK: Final = b"\x65" + struct.pack(">I", 0) + string(b"") * 2


def status(code: int) -> bytes:
    """An answer that says how it went."""
    return bytes((Kind.STATUS,)) + struct.pack(">I", code) + string(b"what the server says") + string(b"")


def handle(name: bytes = b"h") -> bytes:
    """An answer to opening."""
    return bytes((Kind.HANDLE,)) + string(name)


def data(content: bytes) -> bytes:
    """An answer to reading."""
    return bytes((Kind.DATA,)) + string(content)


def attributes(size: int, modified: int = 1, mode: int = FILE) -> bytes:
    """What is said of a file."""
    return struct.pack(">IQIII", 0x0D, size, mode, modified, modified)


def attrs(size: int, modified: int = 1, mode: int = FILE) -> bytes:
    """An answer that says of a file."""
    return bytes((Kind.ATTRS,)) + attributes(size, modified, mode)


def names(files: Mapping[bytes, bytes]) -> bytes:
    """A page of a listing: names, and what is said of each."""
    said = b"".join(string(name) + string(name) + about for name, about in files.items())
    return bytes((Kind.NAME,)) + struct.pack(">I", len(files)) + said


class Scripted:
    """What a wire reads from and writes to."""

    def __init__(self, answering: Answering, extensions: Mapping[bytes, bytes] | None = None) -> None:
        self.reader = asyncio.StreamReader()
        self._answering = answering
        self._extensions = extensions or {}
        self._buffer = b""
        self.asked: list[int] = []

    def write(self, sent: bytes) -> None:
        """A request, or several."""
        self._buffer += sent
        while len(self._buffer) >= 4 and len(self._buffer) >= 4 + (size := int.from_bytes(self._buffer[:4], "big")):
            packet, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
            if packet[0] == Kind.INIT:
                said = b"".join(string(name) + string(value) for name, value in self._extensions.items())
                self._send(bytes((Kind.VERSION,)) + struct.pack(">I", 3) + said)
                continue
            self.asked.append(packet[0])
            answer = self._answering(packet[0], packet[5:])
            if answer is not None:
                self._send(answer[:1] + packet[1:5] + answer[1:])

    def _send(self, packet: bytes) -> None:
        self.reader.feed_data(struct.pack(">I", len(packet)) + packet)

    async def wire(self, idle: float = 0.2) -> Wire:
        """A session."""
        wire = Wire(self.reader, self, idle)
        await wire.begin()
        return wire
