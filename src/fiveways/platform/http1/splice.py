"""HTTP/2 on a connection that we accepted: handed on, byte for byte, to the server on this machine that speaks it.

That server sees a connection from loopback; by its port it finds who is really there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from fiveways.platform.http1.connection import Connection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Address = tuple[str, int]


class Http2Server(Protocol):
    """Speaks HTTP/2 on this machine. `clients` tells it whose connections were handed on to it, by the port they come from."""

    clients: dict[int, Address]

    async def address(self) -> Address:
        """Where it is; it is started when first asked."""
        ...


class Splice(asyncio.Protocol):
    """The other half of a connection handed on. Back-pressure goes through: whoever is slow slows the other down."""

    def __init__(self, client: Connection, server: Http2Server | None) -> None:
        self._client = client
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._port = 0
        if server is None:
            client.transport.abort()
            return
        self._connecting = client.loop.create_task(self._connect(server))

    async def _connect(self, server: Http2Server) -> None:
        try:
            await self._client.loop.create_connection(lambda: self, *await server.address())
        except OSError:
            self._client.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The other side is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._port = transport.get_extra_info("sockname")[1]
        assert self._server is not None
        peer = self._client.transport.get_extra_info("peername")
        self._server.clients[self._port] = peer[:2] if peer else ("", 0)
        self._transport.write(bytes(self._early))
        self._early.clear()
        if self._client.transport.is_closing():
            self.close()

    def forward(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._transport is not None:
            self._transport.write(data)
        else:
            self._early += data
            if len(self._early) > 256 * 1024:
                self._client.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        self._client.transport.write(data)

    def pause_writing(self) -> None:
        """The server is slow."""
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        """The server has caught up."""
        if not self._client.transport.is_closing():
            self._client.transport.resume_reading()

    def client_slow(self, slow: bool) -> None:
        """The client is slow, or has caught up."""
        if self._transport is not None and not self._transport.is_closing():
            if slow:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has ended it."""
        if self._server is not None:
            self._server.clients.pop(self._port, None)
        self._client.transport.close()

    def close(self) -> None:
        """The client has ended it."""
        if self._transport is not None:
            self._transport.close()
