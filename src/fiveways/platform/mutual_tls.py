"""A listener that knows its clients by their certificates: uvicorn's HTTP/1.1 protocol on asyncio's own TLS.

The identity goes into the ASGI scope as the `tls` extension's `fiveways.identity`; one handshake, one look at the certificate.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fiveways.security.certificates import CertificateIdentity, identify

HEADER_PATIENCE = 15.0
"""Seconds from the handshake until the first request must have begun."""
DRAIN_PATIENCE = 30.0
"""Seconds that requests under way may take when the listener stops."""


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with the client certificate in the scope and a bound on saying nothing."""

    identity: CertificateIdentity | None = None
    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.identity = identify(certificate) if certificate else None
        self._impatience = self.loop.call_later(HEADER_PATIENCE, transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.identity is not None:
            self.scope["extensions"] = {"tls": {"fiveways.identity": self.identity}}

    def on_headers_complete(self) -> None:
        self._be_patient()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)

    def _be_patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


class MutualTlsListener:
    """HTTPS that asks clients for a certificate. `files` are certificate, key and the client authorities, as PEM."""

    def __init__(
        self,
        address: tuple[str, int],
        app: Callable[[Any, Any, Any], Awaitable[None]],
        files: tuple[Path, Path, Path],
        required: bool,
    ) -> None:
        self._address = address
        self._files = files
        self._config = Config(
            app, interface="asgi3", http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_keep_alive=30, server_header=False, date_header=False,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        self._context.set_alpn_protocols(["http/1.1"])
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken or a file can't be read."""
        self.reload()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Protocol(self._config, self._state, {}),
            *self._address,
            ssl=self._context,
            ssl_handshake_timeout=10,
            backlog=1024,
        )

    def reload(self) -> None:
        """Read the certificate files again; connections that are open keep what they have."""
        certificate, key, authorities = self._files
        self._context.load_cert_chain(certificate, key)
        self._context.load_verify_locations(authorities)

    async def stop(self) -> None:
        """Take no more requests and wait for those under way, up to `DRAIN_PATIENCE`."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_PATIENCE):
                while self._state.connections:  # noqa: ASYNC110 (uvicorn keeps a set, and no event)
                    await asyncio.sleep(0.02)
        for connection in list(self._state.connections):
            connection.transport.abort()
