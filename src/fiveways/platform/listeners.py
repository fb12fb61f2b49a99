"""Where Fiveways listens: sockets, TLS, and which server speaks on each.

Granian serves HTTP/1.1 and HTTP/2 wherever no client certificate has to be known; a listener that asks for one is uvicorn's
protocol on asyncio's own TLS, because only there the certificate can be seen (docs/decisions/0003).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server
from pydantic import Field, model_validator

from fiveways.deployment.settings import Reference, Settings
from fiveways.platform.mutual_tls import MutualTlsListener

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

HostPort = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$", examples=["127.0.0.1:8080"])]
"""Address and port: 127.0.0.1:8080."""


class ClientCertificates(Settings):
    """Which client certificates a listener takes."""

    ca: Reference
    """PEM certificates of the authorities trusted to issue them (file:…)."""
    required: bool = False
    """Whether a client without one is turned away in the handshake."""


class Listener(Settings):
    """A socket. It serves plain HTTP or, with a certificate, HTTPS."""

    http: HostPort | None = None
    """Plain HTTP/1.1 and HTTP/2 (prior knowledge) at this address. For loopback, or behind a TLS terminator."""
    https: HostPort | None = None
    """HTTPS at this address: HTTP/1.1 and HTTP/2 by ALPN; HTTP/1.1 only where client certificates are asked for."""
    certificate: Reference | None = None
    """PEM certificate chain (file:…)."""
    key: Reference | None = None
    """PEM private key of the certificate (file:…)."""
    client_certificates: ClientCertificates | None = None
    """Client certificates that identify applications."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.http is None) == (self.https is None):
            raise ValueError("expected either http or https")
        if self.https is not None and (self.certificate is None or self.key is None):
            raise ValueError("https needs certificate and key")
        if self.http is not None and (self.certificate or self.key or self.client_certificates):
            raise ValueError("certificates belong to https")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = (self.http or self.https or "").rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        """Its base URL as a client on the same machine would write it."""
        return f"{'http' if self.http else 'https'}://{self.http or self.https}"


class Listening(Protocol):
    """A server on a socket."""

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken."""
        ...

    def reload(self) -> None:
        """Take up new certificate files without dropping what is under way."""
        ...

    async def stop(self) -> None:
        """Take no more requests and wait for those under way."""
        ...


def listen(listener: Listener, app: Asgi, base: Path) -> Listening:
    """The server for a listener; `base` is the deployment file's folder."""
    if listener.client_certificates is not None:
        return MutualTlsListener(listener.address, app, _files(listener, base), listener.client_certificates.required)
    return GranianListener(listener, app, base)


def _files(listener: Listener, base: Path) -> tuple[Path, Path, Path]:
    assert listener.certificate is not None
    assert listener.key is not None
    assert listener.client_certificates is not None
    return listener.certificate.path(base), listener.key.path(base), listener.client_certificates.ca.path(base)


class GranianListener:
    """Granian, embedded in this process's loop."""

    def __init__(self, listener: Listener, app: Asgi, base: Path) -> None:
        self._listener = listener
        self._app = app
        self._base = base
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken."""
        host, port = self._listener.address
        secure = self._listener.https is not None
        certificate, key = self._listener.certificate, self._listener.key
        if certificate is not None and key is not None:
            # Granian reads the files in its own thread and says little: look first.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate.path(self._base), key.path(self._base))
        self._server = Server(
            self._app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.auto,
            websockets=False,
            backlog=2048,
            backpressure=4096,
            http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=128 * 1024),
            http2_settings=HTTP2Settings(max_headers_size=64 * 1024, max_concurrent_streams=256),
            log_enabled=False,
            ssl_cert=certificate.path(self._base) if secure and certificate is not None else None,
            ssl_key=key.path(self._base) if secure and key is not None else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._task = asyncio.get_running_loop().create_task(self._server.serve(), name=f"listener {self._listener.url}")
        await self._answering(host, port)

    async def _answering(self, host: str, port: int) -> None:
        """Granian says nothing when it is ready: knock until it opens."""
        assert self._task is not None
        for _ in range(500):
            if self._task.done():
                await self._task
                raise OSError(f"cannot listen on {host}:{port}")
            try:
                _, writer = await asyncio.open_connection(host if host not in ("0.0.0.0", "::") else None, port)  # noqa: S104
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return
        raise OSError(f"{host}:{port} does not answer")

    def reload(self) -> None:
        """Take up new certificate files without dropping what is under way."""
        if self._server is not None and self._listener.https is not None:
            self._server.reload()  # type: ignore[no-untyped-call]

    async def stop(self) -> None:
        """Take no more requests and wait for those under way."""
        if self._server is not None and self._task is not None:
            self._server.stop()  # type: ignore[no-untyped-call]
            await self._task
