"""The socket that HTTP/1.1 is spoken on: plain, or TLS with client certificates; patience with clients; a stop that drains."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiveways.platform.http1.connection import Connection
from fiveways.platform.http1.splice import Http2Server
from fiveways.security.certificates import identify

SWEEP = 1.0
DRAIN_PATIENCE = 30.0
"""Seconds that requests under way may take when the listener stops."""


@dataclass(slots=True, frozen=True)
class TlsFiles:
    """PEM files of a listener. Where it has `authorities` it asks for client certificates; `required`: a client without one is
    turned away."""

    certificate: Path
    key: Path
    authorities: Path | None = None
    required: bool = False


class Http1Listener:
    """Speaks HTTP/1.1 on `address`; what begins as HTTP/2 goes to `http2`, where that is given."""

    def __init__(
        self,
        address: tuple[str, int],
        app: Callable[[Any, Any, Any], Awaitable[None]],
        *,
        tls: TlsFiles | None = None,
        http2: Http2Server | None = None,
        shared: bool = False,
        head_patience: float = 15.0,
        idle_patience: float = 75.0,
    ) -> None:
        self._address = address
        self.app = app
        self.http2 = http2
        self.head_patience = head_patience
        self.idle_patience = idle_patience
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.refused = 0
        self.loop = asyncio.get_running_loop()
        self._shared = shared
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self._tls is not None

    def extensions(self, transport: asyncio.Transport) -> dict[str, Any]:
        """The ASGI extensions of a connection: `tls`, with the client's identity where it has shown a certificate."""
        if self._tls is None or self._tls.authorities is None:
            return {}
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return {"tls": {"fiveways.identity": identify(certificate) if certificate else None}}

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken or a file cannot be read."""
        self.reload()
        self._server = await self.loop.create_server(
            self.protocol,
            *self._address,
            ssl=self._context,
            ssl_handshake_timeout=10 if self._context is not None else None,
            backlog=2048,
            reuse_port=self._shared or None,
        )
        self._sweeper = self.loop.create_task(self._sweep())

    def protocol(self) -> asyncio.Protocol:
        """What a new connection speaks."""
        return Connection(self)

    def reload(self) -> None:
        """Read the certificate files again; connections that are open keep what they have."""
        if self._tls is None:
            return
        if self._context is None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._tls.authorities is not None:
                self._context.verify_mode = ssl.CERT_REQUIRED if self._tls.required else ssl.CERT_OPTIONAL
            self._context.set_alpn_protocols(["http/1.1"])
        self._context.load_cert_chain(self._tls.certificate, self._tls.key)
        if self._tls.authorities is not None:
            self._context.load_verify_locations(self._tls.authorities)

    async def stop(self) -> None:
        """Take no more requests and wait for those under way, up to `DRAIN_PATIENCE`."""
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_PATIENCE):
                while self.tasks:
                    await asyncio.wait(list(self.tasks))
        for connection in list(self.connections):
            connection.transport.close()

    async def _sweep(self) -> None:
        """Give up connections that say nothing for too long: before a request, in the middle of its head, or between two."""
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for connection in [each for each in self.connections if each.deadline < now]:
                connection.transport.close()
