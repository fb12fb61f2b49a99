"""Opens connections to a back end: TCP, then a tunnel through the outbound proxy, then TLS, as the target says."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from fiveways.methods.synchronous.upstream.bounds import Bounds
from fiveways.methods.synchronous.upstream.connection import Connection, Owner
from fiveways.methods.synchronous.upstream.faults import Phase, UpstreamFault, UpstreamUnreachable
from fiveways.methods.synchronous.upstream.response_head import ResponseHeadParser
from fiveways.methods.synchronous.upstream.settings import Target
from fiveways.methods.synchronous.upstream.tls import client_context

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Attempt:
    """An attempt to get a connection, and the phase it is in."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase: Phase = "pool"


class _Opening:
    """Owner of a connection that is still being opened: its releases and losses concern nobody."""

    def released(self, connection: Connection) -> None:
        """The proxy has answered."""

    def lost(self, connection: Connection) -> None:
        """Opening has failed, and says so itself."""


def address(url: str) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


class Dialer:
    """Opens connections to one target. `generation` counts how often the certificate files have been read."""

    def __init__(self, target: Target, base: Path) -> None:
        self._target = target
        self._base = base
        self._bounds = Bounds(target)
        self._parser = ResponseHeadParser(target.limits.header_count)
        self._host, self._port = address(target.url)
        self._tls = target.url.startswith("https:")
        self._server_name = (target.tls.server_name if target.tls is not None else None) or self._host
        self._tunnel = self._tls and target.proxy is not None
        self._first_hop = (self._host, self._port) if target.proxy is None else address(target.proxy)
        self._context: ssl.SSLContext | None = None
        self.generation = 0
        self.load_tls()

    def load_tls(self) -> None:
        """Read the certificate files, for the connections opened from now on; OSError leaves everything as it was."""
        if self._tls:
            self._context = client_context(self._target.tls, self._base)
            self.generation += 1

    async def open(self, owner: Owner, attempt: Attempt) -> Connection:
        """A new connection, or UpstreamUnreachable. The caller bounds the time."""
        loop = asyncio.get_running_loop()
        attempt.phase = "connect"
        connection = Connection(_Opening(), self._bounds, self._parser, self.generation)
        context = self._context
        try:
            await loop.create_connection(lambda: connection, *self._first_hop)
            try:
                if self._tunnel:
                    attempt.phase = "proxy"
                    await self._open_tunnel(connection)
                if context is not None:
                    attempt.phase = "tls"
                    await self._start_tls(connection, context)
            except BaseException:
                connection.abort()
                raise
        except (OSError, UpstreamFault) as error:
            raise UpstreamUnreachable(_why(attempt.phase, error), phase=attempt.phase, reached=False) from error
        connection.opened(owner)
        return connection

    async def _open_tunnel(self, connection: Connection) -> None:
        """Ask the proxy for a tunnel (RFC 9110 §9.3.6)."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        authority = f"{host}:{self._port}".encode()
        head = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (authority, authority)
        answer = await connection.request(head, bodyless=False, tunnel=True)
        if answer.status >= 300 or connection.closed:
            raise ConnectionRefusedError("the proxy opened no tunnel")

    async def _start_tls(self, connection: Connection, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(connection.transport, connection, context, server_hostname=self._server_name)
        if transport is None:
            raise ConnectionAbortedError("the connection was closed during the TLS handshake")
        connection.attach(transport)


def _why(phase: Phase, error: Exception) -> str:
    """What to tell the consumer's developer: no addresses, no file names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The back end's certificate was not accepted: {error.verify_message}."
    if phase == "tls":
        return "The TLS handshake with the back end failed."
    if phase == "proxy":
        return "The outbound proxy did not open a tunnel to the back end."
    return "The back end could not be connected to."
