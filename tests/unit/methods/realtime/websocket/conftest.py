"""A WebSocket server made of these modules on a real socket, and a client that knows bytes only and may say whatever it likes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import TypeVar, cast

from fiveways.methods.realtime.websocket import frames, handshake
from fiveways.methods.realtime.websocket.connection import Limits, WebSocket
from fiveways.methods.realtime.websocket.handshake import Refused, Upgrade

T = TypeVar("T")
MASK = b"\x37\xfa\x21\x3d"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    b"GET /echo?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n" % KEY
)
PATIENCE = 20.0
"""Seconds that a test waits for what must come."""


def head(
    opcode: int, length: int, *, final: bool = True, reserved: int = 0, unmasked: bool = False, width: int | None = None
) -> bytes:
    """The header of a client's frame, up to its mask. `width`: octets of its extended length, where that is to be another."""
    if width is None:
        width = 0 if length < 126 else 2 if length < 65536 else 8
    said = {0: length, 2: 126, 8: 127}[width]
    return bytes((final << 7 | reserved << 4 | opcode, (not unmasked) << 7 | said)) + length.to_bytes(8)[8 - width :]


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bytes = MASK) -> bytes:
    """A client's frame."""
    covered = bytes(octet ^ over for octet, over in zip(payload, cycle(mask), strict=False))
    return head(opcode, len(payload), final=final, reserved=reserved) + mask + covered


def closing(code: int | None = None, reason: bytes = b"") -> bytes:
    """A client's Close."""
    return frame(frames.CLOSE, (b"" if code is None else code.to_bytes(2)) + reason)


def chopped(data: bytes, size: int) -> list[bytes]:
    """`data` in pieces of `size` octets."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@dataclass
class Echo:
    """Sends back what it is sent, and remembers what it was told."""

    ws: WebSocket = field(init=False)
    got: list[tuple[bytes, bool]] = field(default_factory=list)
    drains: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def opened(self, ws: WebSocket) -> None:
        self.ws = ws

    def message(self, data: bytes, text: bool) -> None:
        self.got.append((data, text))
        self.ws.send(frames.text(data) if text else frames.binary(data))

    def drained(self) -> None:
        self.drains += 1

    def closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))
        self.over.set()


class Front(asyncio.Protocol):
    """Reads a request's head, and hands the connection on or refuses it."""

    def __init__(self, make: Callable[[], Echo], limits: Limits, made: list[Echo]) -> None:
        self._make, self._limits, self._made = make, limits, made
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end and len(self._head) <= handshake.HEAD_LIMIT:
            return
        match handshake.read(head + end):
            case Refused() as refused:
                self._transport.write(refused.answer())
                self._transport.close()
            case Upgrade() as upgrade:
                self._transport.write(upgrade.accepted(upgrade.subprotocols[0] if upgrade.subprotocols else None))
                echo = self._make()
                self._made.append(echo)
                ws = WebSocket(echo, self._limits)
                self._transport.set_protocol(ws)
                ws.connection_made(self._transport)
                if rest:
                    ws.data_received(rest)


class Client:
    """A connection to a server, as octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def shake(self, request: bytes = REQUEST) -> bytes:
        """Do the opening handshake; the answer's head."""
        self.writer.write(request)
        answer = await within(self.reader.readuntil(b"\r\n\r\n"))
        accept = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"\r\nSec-WebSocket-Accept: " + accept + b"\r\n" in answer
        assert b"extensions" not in answer.lower()
        return answer

    async def say(self, *pieces: bytes) -> None:
        """Send octets, each piece in a read of its own as far as that can be had."""
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0)

    async def hear(self) -> tuple[int, bytes] | None:
        """The next frame; None where TCP has ended in an orderly way between two."""
        first = await self.reader.read(1)
        if not first:
            return None
        second = (await self.reader.readexactly(1))[0]
        assert second < 0x80, "a server masks nothing (RFC 6455 §5.1)"
        assert first[0] & 0xF0 == 0x80, "neither fragments nor reserved bits"
        width = {126: 2, 127: 8}.get(second, 0)
        length = int.from_bytes(await self.reader.readexactly(width)) if width else second
        assert length >= {0: 0, 2: 126, 8: 65536}[width]
        return first[0] & 0x0F, await self.reader.readexactly(length)

    async def rest(self) -> list[tuple[int, bytes]]:
        """All frames up to the end of TCP."""
        heard = []
        while (each := await self.hear()) is not None:
            heard.append(each)
        return heard

    async def silent(self, seconds: float) -> None:
        """Nothing comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                raise AssertionError(f"it said {await self.reader.read(100)!r}")


@dataclass
class Served:
    """A server, and the handlers of the connections it has had."""

    port: int
    echoes: list[Echo]

    @asynccontextmanager
    async def connect(self, *, shaken: bool = True, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
        """A client, of which nothing is left afterwards."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=tls))
        try:
            if shaken:
                await client.shake()
            yield client
        finally:
            client.writer.transport.abort()
            with suppress(ConnectionError):
                await client.writer.wait_closed()

    async def outcome(self) -> tuple[int, str]:
        """What the last connection's handler was told at its end, once."""
        await within(self.echoes[-1].over.wait())
        await asyncio.sleep(0.01)
        [outcome] = self.echoes[-1].ends
        return outcome


@asynccontextmanager
async def served(
    make: Callable[[], Echo] = Echo, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Served]:
    """A server on a port of its own."""
    echoes: list[Echo] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Front(make, limits or Limits(), echoes), "127.0.0.1", 0, ssl=tls)
    try:
        yield Served(server.sockets[0].getsockname()[1], echoes)
    finally:
        server.close()
        for echo in echoes:
            if not echo.ends:
                echo.ws.abort()
        await within(server.wait_closed())


async def within(waited: Awaitable[T], seconds: float = PATIENCE) -> T:
    """What must come, in time."""
    async with asyncio.timeout(seconds):
        return await waited


async def until(true: Callable[[], object]) -> None:
    """Wait for something to be so."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)
